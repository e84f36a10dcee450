"""What each operation reads, by its names on the wire ("outcoming" is the vendor's spelling). Never asks the store."""

from marshmallow import EXCLUDE, Schema

from mailsvc.protocols.onlyoffice_mail.fields import Choice, Number, OptionalText, Text, Truth

ENCRYPTION = {"None": 0, "SSL": 1, "StartTLS": 2}
AUTH = {"None": 0, "Login": 1, "CramMd5": 4, "OAuth2": 5}


class Nothing(Schema):
    """An operation without input."""

    class Meta:
        unknown = EXCLUDE


class Email(Nothing):
    """One account, by its address."""

    email = Text()


class Put(Email):
    """The sixteen members of the customer's page, and ``deliver_to``."""

    name = Text()
    account = Text()
    password = Text()
    port = Number()
    server = Text()
    smtp_account = Text()
    smtp_password = Text()
    smtp_port = Number()
    smtp_server = Text()
    smtp_auth = Truth()
    restrict = Truth()
    incoming_encryption_type = Choice(ENCRYPTION)
    outcoming_encryption_type = Choice(ENCRYPTION)
    auth_type_in = Choice(AUTH)
    auth_type_smtp = Choice(AUTH)
    deliver_to = OptionalText()


class Post(Put):
    """The same, and whether the server speaks IMAP."""

    imap = Truth()


class Simple(Email):
    """An account whose provider is known."""

    password = Text()


class State(Email):
    """Whether mail is collected."""

    state = Truth()


class Default(Email):
    """Whether the account is its user's default."""

    is_default = Truth(data_key="isdefault")


class Setups(Email):
    """Which server is asked for."""

    action = Text()
