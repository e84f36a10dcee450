"""Who may send, and in whose name."""

import smtplib

import pytest

from tests.mailhost.host import LIMIT, SECRET, Host, authenticated


def test_a_user_sends_after_login_and_only_in_his_own_name(host: Host) -> None:
    host.add("carl@example.org", "dora@example.org")
    with host.smtp(host.site.ports.submission) as connection:
        assert not connection.has_extn("auth")
        assert connection.docmd("AUTH PLAIN", "AGNhcmwAeA==")[0] in (502, 503, 530)
        connection.starttls(context=host.tls())
        assert connection.login("carl@example.org", SECRET)[0] == 235
        connection.sendmail("carl@example.org", ["dora@example.org"], "From: carl@example.org\r\nSubject: mine\r\n\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="not owned by user carl@"):
            connection.sendmail("dora@example.org", ["carl@example.org"], "Subject: not mine\r\n\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="not owned by user carl@"):
            connection.sendmail("boss@elsewhere.test", ["dora@example.org"], "Subject: nobody's\r\n\r\n")
    host.wait_for_delivery()
    assert (host.inbox("carl@example.org"), host.inbox("dora@example.org")) == ([], ["mine"])


def test_a_user_sends_as_an_address_that_forwards_to_him_while_it_does(host: Host) -> None:
    host.add("erna@example.org")
    host.forward("sales@example.org", "erna@example.org")
    with host.submission("erna@example.org") as connection:
        assert sender(connection, "sales@example.org") == 250
        assert sender(connection, "erna+shop@example.org") == 250
        assert host.call("delforward", source="sales@example.org") == 0
        assert sender(connection, "sales@example.org") == 553


def test_a_disabled_mailbox_that_looks_like_a_sub_address_is_nobodys(host: Host) -> None:
    host.add("gina@example.org", "gina+own@example.org")
    with host.submission("gina@example.org") as connection:
        assert sender(connection, "gina+own@example.org", "gina@example.org") == 553
        host.command("mailbox disable gina+own@example.org")
        assert sender(connection, "gina+own@example.org", "gina@example.org") == 553
        assert sender(connection, "gina+other@example.org", "gina@example.org") == 250


def test_nothing_is_sent_without_a_login(host: Host) -> None:
    host.add("fritz@example.org")
    with host.smtp(host.site.ports.submission) as connection:
        assert connection.mail("fritz@example.org")[0] == 530, "TLS first"
        connection.starttls(context=host.tls())
        connection.ehlo()
        connection.mail("fritz@example.org")
        assert connection.rcpt("fritz@example.org")[0] == 554
    with host.smtp() as connection:
        connection.starttls(context=host.tls())
        connection.ehlo()
        assert not connection.has_extn("auth"), "port 25 is for other servers"


def test_nobody_sends_with_a_wrong_password_or_from_a_disabled_mailbox(host: Host) -> None:
    host.add("emil@example.org")
    host.command("mailbox disable emil@example.org")
    port, refused, accepted = host.site.ports.submissions, 535, 235
    with smtplib.SMTP_SSL("127.0.0.1", port, "client.test", timeout=LIMIT, context=host.tls()) as connection:
        connection.ehlo()
        assert authenticated(connection, "emil@example.org", SECRET) == refused
        host.command("mailbox enable emil@example.org")
        assert authenticated(connection, "emil@example.org", "Box-2") == refused
        assert authenticated(connection, "emil@example.org", SECRET) == accepted


def sender(connection: smtplib.SMTP, address: str, recipient: str = "erna@example.org") -> int:
    """The code for mail from ``address`` to ``recipient``, who is there."""
    connection.rset()
    connection.mail(address)
    return connection.rcpt(recipient)[0]
