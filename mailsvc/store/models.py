"""The tables. Times are UTC; names and addresses are canonical (mailsvc.core.addresses) and CHECKed to be lower case.

Other programs read views, never these tables: mailsvc/store/views.py.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mailsvc.store.types import Flag, Instant, Key, Sealed, Words

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name of its own, so that a later migration can name it."""

STRICT = {"sqlite_strict": True}
KEYED = {"sqlite_strict": True, "sqlite_with_rowid": False}
"""Tables that are found by their own key alone are stored in its order."""


class Base(DeclarativeBase):
    """Typed models on one metadata."""

    metadata = sa.MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Words, bool: Flag, datetime: Instant, bytes: sa.LargeBinary}  # noqa: RUF012


def _flag(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} IN (0, 1)", name)


def _lower(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} = lower({name})", f"{name}_lower")


def _parent(column: str, *, on_delete: str = "CASCADE") -> Any:
    return sa.ForeignKey(column, ondelete=on_delete)


class PanelUser(Base):
    """Who may call.

    ``mailbox_count`` is kept by the transactions that add, remove or give away mailboxes and domains. The folded
    columns are name and e-mail address as the dialects that ignore letter case look them up.
    """

    __tablename__ = "panel_user"
    __table_args__ = (
        sa.CheckConstraint("role IN ('user', 'root')", "role"),
        sa.CheckConstraint("language IN ('en', 'ru')", "language"),
        sa.CheckConstraint("mailbox_limit >= 0", "mailbox_limit"),
        sa.CheckConstraint("mailbox_count >= 0", "mailbox_count"),
        _flag("active"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    folded_name: Mapped[str | None] = mapped_column(index=True)
    email: Mapped[str | None]
    folded_email: Mapped[str | None] = mapped_column(index=True)
    password_hash: Mapped[str]
    role: Mapped[str]
    language: Mapped[str | None]
    active: Mapped[bool]
    mailbox_limit: Mapped[int | None]
    mailbox_count: Mapped[int] = mapped_column(server_default=sa.text("0"))
    created_at: Mapped[datetime]


class Domain(Base):
    """A mail domain with its one owner. ``zone_serial`` counts the changes of its DNS zone."""

    __tablename__ = "domain"
    __table_args__ = (_lower("name"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    owner_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id", on_delete="RESTRICT"), index=True)
    zone_serial: Mapped[int] = mapped_column(server_default=sa.text("1"))
    created_at: Mapped[datetime]


class Mailbox(Base):
    """A mailbox. ``incarnation`` is the unguessable name of its home: a mailbox that is deleted and made again never
    sees its predecessor's mail. ``quota_mib`` 0 is unlimited. A disabled mailbox receives but lets nobody in.
    """

    __tablename__ = "mailbox"
    __table_args__ = (
        _lower("address"),
        sa.CheckConstraint("quota_mib BETWEEN 0 AND 2147483647", "quota_mib"),
        _flag("enabled"),
        sa.Index(None, "domain_id", "address"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    address: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    quota_mib: Mapped[int]
    enabled: Mapped[bool]
    incarnation: Mapped[str]
    created_at: Mapped[datetime]


class RemovedMailbox(Base):
    """A mailbox that was removed and whose mail is still on disk: it can be brought back until it is purged.

    ``domain_id`` is None once the domain is removed as well; ``owner_id`` is who owned it last. ``purging``: the mail
    is being removed, and there is no way back. Several of one address may wait here, each with its own home.
    """

    __tablename__ = "removed_mailbox"
    __table_args__ = (
        _lower("address"),
        _flag("enabled"),
        _flag("purging"),
        sa.Index(None, "address", "removed_at"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int | None] = mapped_column(Key, _parent("domain.id", on_delete="SET NULL"), index=True)
    owner_id: Mapped[int | None] = mapped_column(Key, _parent("panel_user.id", on_delete="SET NULL"), index=True)
    address: Mapped[str]
    password_hash: Mapped[str]
    quota_mib: Mapped[int]
    enabled: Mapped[bool]
    incarnation: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime] = mapped_column(index=True)
    purging: Mapped[bool]


class CatchAll(Base):
    """Where the mail of a domain goes that no mailbox and no forward takes. ``target_domain`` is the domain of
    ``target``, beside it so that a view can look it up."""

    __tablename__ = "catch_all"
    __table_args__ = (_lower("target"), STRICT)

    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"), primary_key=True, autoincrement=False)
    target: Mapped[str]
    target_domain: Mapped[str]


class Forward(Base):
    """A forward rule. ``keep_local``: deliver to the mailbox of that address too, while there is one."""

    __tablename__ = "forward"
    __table_args__ = (_lower("source"), _flag("keep_local"), sa.Index(None, "domain_id", "source"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    source: Mapped[str] = mapped_column(unique=True)
    keep_local: Mapped[bool]
    created_at: Mapped[datetime]


class ForwardTarget(Base):
    """Where a forward goes, in the order in which the targets were given."""

    __tablename__ = "forward_target"
    __table_args__ = (_lower("target"), KEYED)

    forward_id: Mapped[int] = mapped_column(Key, _parent("forward.id"), primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class DkimKey(Base):
    """A signing key. ``private_key`` is sealed (mailsvc.vault.seals); ``public_key`` is the base64 that DNS shows."""

    __tablename__ = "dkim_key"
    __table_args__ = (sa.UniqueConstraint("domain_id", "selector"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    selector: Mapped[str]
    algorithm: Mapped[str]
    private_key: Mapped[bytes] = mapped_column(Sealed)
    public_key: Mapped[str]
    created_at: Mapped[datetime]


class DkimRotation(Base):
    """A key that does not sign although its record is published: it is ``coming`` and may sign from ``due_at`` on once
    everybody can see the record, or it is ``going`` and its record is withdrawn at ``due_at``."""

    __tablename__ = "dkim_rotation"
    __table_args__ = (sa.CheckConstraint("stage IN ('coming', 'going')", "stage"), STRICT)

    key_id: Mapped[int] = mapped_column(Key, _parent("dkim_key.id"), primary_key=True, autoincrement=False)
    stage: Mapped[str]
    due_at: Mapped[datetime]


class ZoneName(Base):
    """A name that every domain's zone has (mailsvc.core.zone_names), spelled out so that a view finds it by an
    index."""

    __tablename__ = "zone_name"
    __table_args__ = (KEYED,)

    name: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"), index=True)
    label: Mapped[str]


class DnsRecord(Base):
    """A TXT record that mailsvc publishes for a domain.

    ``enabled`` is the state last acknowledged to a caller; ``settled`` is 0 while the world may differ from it (a
    change is under way, or was cut short); ``busy_until`` is the lease of whoever is at work on it. ``content`` is as
    a zone file writes it. ``parent`` is the empty non-terminal above the name, which a name server must know of (RFC
    8020).
    """

    __tablename__ = "dns_record"
    __table_args__ = (
        sa.UniqueConstraint("domain_id", "purpose", "name"),
        sa.CheckConstraint("purpose IN ('spf', 'dkim')", "purpose"),
        _flag("enabled"),
        _flag("settled"),
        sa.Index(None, "name"),
        sa.Index(None, "parent"),
        sa.Index(None, "settled", "id"),
        STRICT,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    purpose: Mapped[str]
    name: Mapped[str]
    parent: Mapped[str | None]
    content: Mapped[str]
    ttl: Mapped[int]
    enabled: Mapped[bool]
    settled: Mapped[bool]
    busy_until: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what to what, and what came of it. Never a secret; ``object`` only once it has passed its form's
    check."""

    __tablename__ = "audit_entry"
    __table_args__ = (STRICT,)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    at: Mapped[datetime]
    request_id: Mapped[str | None]
    dialect: Mapped[str]
    operation: Mapped[str]
    caller: Mapped[str]
    acting: Mapped[str]
    object: Mapped[str]
    outcome: Mapped[str]
    code: Mapped[int]


class LoginFailure(Base):
    """A failed sign-in of the last minute. ``pair`` is a digest of user name and client address: people type passwords
    into the name field, and names of failed attempts are nobody's business.
    """

    __tablename__ = "login_failure"
    __table_args__ = (sa.Index(None, "pair", "at"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    pair: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)


class LoginBlock(Base):
    """A pair of user name and client address that may not sign in before ``until``."""

    __tablename__ = "login_block"
    __table_args__ = (KEYED,)

    pair: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime] = mapped_column(index=True)


class Server(Base):
    """The one row of facts about this server that views need; written at every start from the settings."""

    __tablename__ = "server"
    __table_args__ = (sa.CheckConstraint("id = 1", "one_row"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    hostname: Mapped[str]


class LoginSession(Base):
    """A login that goes on: the holder of a token is its user until it expires, is logged out, or his password changes.

    ``digest`` is the SHA-256 of the token, which is kept nowhere. ``name`` is the public name of a session whose wire
    asks for one (Webitel's key); two sessions may then share a token.
    """

    __tablename__ = "login_session"
    __table_args__ = (sa.CheckConstraint("kind IN ('webitel', 'dbvisit', 'onlyoffice')", "kind"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    user_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id"), index=True)
    kind: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    name: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiKey(Base):
    """A key that an administrator made for a user's programs. ``digest`` is the SHA-256 of its upper-case form."""

    __tablename__ = "api_key"
    __table_args__ = (STRICT,)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    user_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class SmtpProfile(Base):
    """How mail of one scope is handed to an SMTP server: mailsvc.core.smtp_profile says what the values mean.

    ``scope`` is ``installation``, ``portal`` or ``domain:<id>``, the last with its ``domain_id``.
    """

    __tablename__ = "smtp_profile"
    __table_args__ = (
        sa.CheckConstraint("security IN ('plain', 'opportunistic', 'starttls', 'tls')", "security"),
        sa.CheckConstraint("port BETWEEN 0 AND 65535", "port"),
        _flag("verify"),
        KEYED,
    )

    scope: Mapped[str] = mapped_column(primary_key=True)
    domain_id: Mapped[int | None] = mapped_column(Key, _parent("domain.id"), unique=True)
    host: Mapped[str]
    port: Mapped[int]
    security: Mapped[str]
    verify: Mapped[bool]
    username: Mapped[str]
    password: Mapped[bytes | None] = mapped_column(Sealed)
    mechanism: Mapped[str | None]
    sender: Mapped[str]
    sender_name: Mapped[str]
    ehlo_name: Mapped[str]


class InstallationSecret(Base):
    """A random secret of this installation, made at its first use: it goes where the database goes."""

    __tablename__ = "installation_secret"
    __table_args__ = (KEYED,)

    name: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(Sealed)


class SettingsDocument(Base):
    """The e-mail settings of a domain exactly as a caller sent them, sealed whole: secrets may sit anywhere in it.

    ``public_id`` is 24 hexadecimal digits, kept while the document is replaced.
    """

    __tablename__ = "settings_document"
    __table_args__ = (STRICT,)

    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"), primary_key=True, autoincrement=False)
    public_id: Mapped[str] = mapped_column(unique=True)
    content: Mapped[bytes] = mapped_column(Sealed)


class SmtpTest(Base):
    """The one test of the SMTP settings under way, or finished and not asked for yet. A job without progress for two
    minutes was interrupted.
    """

    __tablename__ = "smtp_test"
    __table_args__ = (
        sa.CheckConstraint("id = 1", "one_row"),
        sa.CheckConstraint("percents BETWEEN 0 AND 100", "percents"),
        _flag("completed"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    job: Mapped[str]
    status: Mapped[str]
    percents: Mapped[int]
    error: Mapped[str]
    completed: Mapped[bool]
    progressed_at: Mapped[datetime]


class SmtpTestCall(Base):
    """A test that a user asked for, while it counts against his limit."""

    __tablename__ = "smtp_test_call"
    __table_args__ = (sa.Index(None, "user_id", "at"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    user_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id"))
    at: Mapped[datetime] = mapped_column(index=True)


class Installation(Base):
    """The one row of facts about this installation, made at its first start.

    ``uuid`` marks what it collects. ``accounts_made`` counts the external accounts ever made: the last number given
    out, so that none is given twice. (SQLite's own AUTOINCREMENT is lost in a batch rebuild.)
    """

    __tablename__ = "installation"
    __table_args__ = (sa.CheckConstraint("id = 1", "one_row"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    uuid: Mapped[str]
    accounts_made: Mapped[int] = mapped_column(Key)


class ExternalAccount(Base):
    """A mail account on a foreign server, whose mail is collected into a local mailbox.

    Both passwords are sealed (mailsvc.services.accounts says for which purpose). ``revision`` counts the changes of
    the account's owner, so that a visit under way notices them. ``failing_since`` is the first failed login of a
    series. ``lease_holder`` is who visits the account now, and ``lease_until`` for how long that is believed.
    """

    __tablename__ = "external_account"
    __table_args__ = (
        sa.UniqueConstraint("user_id", "email"),
        _lower("email"),
        sa.CheckConstraint("protocol IN ('imap', 'pop3')", "protocol"),
        sa.CheckConstraint("encryption IN (0, 1, 2)", "encryption"),
        sa.CheckConstraint("smtp_encryption IN (0, 1, 2)", "smtp_encryption"),
        sa.CheckConstraint("auth IN (0, 1, 4)", "auth"),
        sa.CheckConstraint("smtp_auth IN (0, 1, 4)", "smtp_auth"),
        _flag("enabled"),
        _flag("auth_error"),
        _flag("quota_error"),
        sa.Index(None, "enabled", "next_visit_at"),
        sa.Index(None, "lease_holder"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id"))
    email: Mapped[str]
    name: Mapped[str]
    protocol: Mapped[str]
    server: Mapped[str]
    port: Mapped[int] = mapped_column(Key)
    login: Mapped[str]
    password: Mapped[bytes] = mapped_column(Sealed)
    encryption: Mapped[int]
    auth: Mapped[int]
    smtp_server: Mapped[str]
    smtp_port: Mapped[int] = mapped_column(Key)
    smtp_login: Mapped[str]
    smtp_password: Mapped[bytes] = mapped_column(Sealed)
    smtp_encryption: Mapped[int]
    smtp_auth: Mapped[int]
    begin_at: Mapped[datetime]
    deliver_to: Mapped[str]
    enabled: Mapped[bool]
    auth_error: Mapped[bool]
    quota_error: Mapped[bool]
    failing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]
    revision: Mapped[int]
    visited_at: Mapped[datetime | None]
    next_visit_at: Mapped[datetime]
    collected: Mapped[int]
    last_error: Mapped[str | None]
    lease_holder: Mapped[str | None]
    lease_until: Mapped[datetime | None]


class DefaultAccount(Base):
    """Which of a user's external accounts is the default, if one is."""

    __tablename__ = "default_account"
    __table_args__ = (KEYED,)

    user_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id"), primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(Key, _parent("external_account.id"), index=True)


class CollectedSource(Base):
    """A folder that messages of an account were found in: ``identity`` is the SHA-256 of protocol, server, login and,
    for IMAP, UIDVALIDITY.

    Up to ``scanned_uid`` every message of an IMAP folder is either remembered or dated before ``scanned_begin``;
    ``recorded_uid`` is the highest that is remembered.
    """

    __tablename__ = "collected_source"
    __table_args__ = (sa.UniqueConstraint("account_id", "identity"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    account_id: Mapped[int] = mapped_column(Key, _parent("external_account.id"))
    identity: Mapped[bytes]
    scanned_uid: Mapped[int] = mapped_column(Key)
    recorded_uid: Mapped[int] = mapped_column(Key)
    scanned_begin: Mapped[datetime | None]


class CollectedMessage(Base):
    """A message that need not be fetched again: ``key`` is the SHA-256 of its remembered key, ``content`` of its bytes.

    ``too_old`` alone is not for ever: it holds for begin dates after ``dated_at``. (Of IMAP folders such messages are
    not remembered one by one.)
    """

    __tablename__ = "collected_message"
    __table_args__ = (
        sa.CheckConstraint("outcome IN ('delivered', 'known', 'own', 'refused', 'too_large', 'too_old')", "outcome"),
        sa.Index(None, "content", "source_id"),
        KEYED,
    )

    source_id: Mapped[int] = mapped_column(Key, _parent("collected_source.id"), primary_key=True, autoincrement=False)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    uid: Mapped[int | None] = mapped_column(Key)
    content: Mapped[bytes | None]
    outcome: Mapped[str]
    dated_at: Mapped[datetime | None]
