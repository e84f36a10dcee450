"""What a stranger tries on port 25: to send in the name of who is here, and to say where a message ends."""

import smtplib
import socket

import pytest

from tests.mailhost.host import LIMIT, SENDER, Host


def answer(host: Host, sender: str, recipient: str, client: str = "127.0.0.2") -> tuple[int, str]:
    """What is said to ``recipient`` on a connection from ``client``; 127.0.0.1 alone is this machine."""
    address = ("127.0.0.1", host.site.ports.smtp)
    with smtplib.SMTP(*address, "client.test", timeout=LIMIT, source_address=(client, 0)) as connection:
        connection.ehlo()
        connection.mail(sender)
        code, text = connection.rcpt(recipient)
    return code, text.decode()


def test_nobody_sends_in_the_name_of_a_domain_of_ours_without_a_login(host: Host) -> None:
    host.add("named@example.org", "reads@example.org")
    host.forward("passes.on@example.org", "friend@elsewhere.test")
    for sender in ("named@example.org", "Named+x@Example.ORG", "reads@example.org", "invented@example.org"):
        for recipient in ("reads@example.org", "passes.on@example.org"):
            code, text = answer(host, sender, recipient)
            assert (code, "Mail from example.org is taken after a login only" in text) == (550, True)
    host.command("domain add münchen.example --owner alice")
    assert answer(host, "a@xn--mnchen-3ya.example", "passes.on@example.org")[0] == 550
    for sender in (SENDER, "", "news@below.example.org"):
        assert answer(host, sender, "reads@example.org")[0] == 250
    assert answer(host, "named@example.org", "reads@example.org", "127.0.0.1")[0] == 250, "a program of this machine"


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"])
def test_nothing_but_a_line_with_a_dot_ends_a_message(host: Host, end: str) -> None:
    address = f"smuggled.{end.encode().hex()}@example.org"
    host.add(address)
    envelope = f"MAIL FROM:<other@elsewhere.test>\r\nRCPT TO:<{address}>\r\nDATA\r\n"
    second = f"{end}{envelope}Subject: smuggled\r\n\r\nHello\r\n.\r\n"
    with host.smtp() as connection:
        connection.mail(SENDER)
        connection.rcpt(address)
        assert connection.docmd("DATA")[0] == 354
        connection.send(f"Subject: whole\n\r\nHello{second}")
        assert connection.getreply()[0] == 250
        assert connection.noop()[0] == 250, "there was one message"
    host.wait_for_delivery()
    assert host.inbox(address) == ["whole"]


def test_what_dovecot_does_not_take_is_not_offered(host: Host) -> None:
    with host.smtp() as connection:
        assert not connection.has_extn("smtputf8")
        assert connection.docmd(f"MAIL FROM:<{SENDER}> SMTPUTF8")[0] == 555
        connection.send("MAIL FROM:<someone@münchen.example>\r\n".encode())
        assert connection.getreply()[0] == 501


def test_who_does_not_wait_to_be_asked_is_sent_away(host: Host) -> None:
    with socket.create_connection(("127.0.0.1", host.site.ports.smtp), timeout=LIMIT) as early:
        stream = early.makefile("rwb")
        assert stream.readline().startswith(b"220 ")
        stream.write(b"EHLO client.test\r\nMAIL FROM:<>\r\nRCPT TO:<info@example.org>\r\nDATA\r\n")
        stream.flush()
        assert b"554 5.5.0" in stream.read()
