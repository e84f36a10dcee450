"""Between a real Postfix, Dovecot and PowerDNS: what users send is signed, in their own name, or refused."""

import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from mailsvc.core.addresses import mailbox_address
from mailsvc.services import dkim_rotation, domains, mailboxes
from mailsvc.store.models import DkimRotation
from mailsvc.store.types import now
from tests.application import act
from tests.mailhost.host import SECRET
from tests.milter.filtered import FilteredHost

MESSAGE = "From: {0}\nTo: {0}\nSubject: Hello\n\nSome  text,\t\n\n\nwith blanks.\n\n\n"


@pytest.fixture(scope="module", autouse=True)
def boxes(whole_filtered_host: FilteredHost) -> None:
    """ann in example.org, eve in another customer's domain; DKIM is on for both."""
    host, ports = whole_filtered_host.host, whole_filtered_host.ports
    host.add("ann@example.org")
    domains.add(ports, act(), name="rival.test", owner="root")
    mailboxes.add(ports, act(), address=mailbox_address("eve@rival.test"), password=SECRET, quota_mib=0)
    for domain in ("example.org", "rival.test"):
        host.site.run(f"mailsvc dkim on {domain}")


def test_each_key_that_is_published_signs_from_the_next_message_on(filtered: FilteredHost) -> None:
    message, run = MESSAGE.format("eve@rival.test"), filtered.host.site.run

    def algorithms() -> list[str]:
        assert filtered.submit("eve@rival.test", message)[0] == 250
        return sorted(filtered.verified(filtered.received("eve@rival.test")))

    assert algorithms() == ["rsa-sha256"]
    run("mailsvc dkim off rival.test")
    assert algorithms() == []
    run("mailsvc dkim add rival.test --algorithm ed25519", "mailsvc dkim on rival.test")
    assert algorithms() == ["ed25519-sha256", "rsa-sha256"]


def test_a_rotation_changes_the_key_from_one_message_to_the_next(filtered: FilteredHost) -> None:
    def selectors() -> list[str]:
        assert filtered.submit("ann@example.org", MESSAGE.format("ann@example.org"))[0] == 250
        message = filtered.received("ann@example.org")
        assert filtered.verified(message) == ["rsa-sha256"]
        return re.findall(r" s=([^;]+);", message.decode())

    before = selectors()
    filtered.host.site.run("mailsvc dkim rotate example.org")
    assert selectors() == before
    # As if the time had passed in which others may still believe that there is no such record.
    with filtered.ports.store.writing() as unit:
        unit.execute(update(DkimRotation).values(due_at=now()))
    assert [step.outcome for step in dkim_rotation.continue_all(filtered.ports, act())] == ["signs"]
    assert selectors() not in (before, [])


def test_every_message_of_a_session_is_signed_whatever_its_size(filtered: FilteredHost) -> None:
    line = "A line of  some length, with\tblanks here and there. \n"
    with filtered.host.submission("ann@example.org") as connection:
        for body in ("", "\n\n", "one line\n", line * 60_000):
            text = f"From: ann@example.org\nSubject: =?utf-8?q?=C3=9C?=\n folded\nSubject: again\n\n{body}"
            refused = connection.sendmail("ann@example.org", ["ann@example.org"], text.replace("\n", "\r\n"))
            assert refused == {}
            assert filtered.verified(filtered.received("ann@example.org")) == ["rsa-sha256"]


def test_what_was_signed_cannot_be_given_another_author(filtered: FilteredHost) -> None:
    filtered.submit("ann@example.org", MESSAGE.format("ann@example.org"))
    message = filtered.received("ann@example.org")
    assert filtered.verified(message)
    for name in (b"From", b"Subject", b"Reply-To", b"Cc", b"Date"):
        with pytest.raises(AssertionError):
            filtered.verified(name + b": eve@rival.test\r\n" + message)


@pytest.mark.parametrize(
    "head",
    [
        "From: eve@rival.test\n",
        "From: ann@example.org\nFrom: eve@rival.test\n",
        "From: eve@rival.test\nFrom: ann@example.org\n",
        "From: ann@example.org\nFrom : eve@rival.test\n",
        "FROM: ann@example.org, eve@rival.test\n",
        "From: ann@example.org,\n eve@rival.test\n",
        "From: <eve@rival.test> <ann@example.org>\n",
        "From: friends: ann@example.org;\n",
        "From: =?utf-8?q?eve=40rival=2Etest?= <nobody@rival.test>\n",
        "From: =?utf-8?b?PGV2ZUByaXZhbC50ZXN0Pg==?= <ann@example.org>\n",
        "From: ann@example.org\nSender: eve@rival.test\n",
        "From: ann@example.org\nSender: ann@example.org\nSender: eve@rival.test\n",
        "From: \n",
        "Resent-From: ann@example.org\nFrom: eve@rival.test\n",
    ],
)
def test_nobody_writes_as_somebody_else(filtered: FilteredHost, head: str) -> None:
    code, text = filtered.submit("ann@example.org", f"{head}Subject: x\n\nHello\n")
    assert (code, text[:6]) == (550, "5.7.1 "), text


@pytest.mark.parametrize(
    ("head", "author"),
    [
        ("From: Ann <ANN@Example.org>\n", b"From: Ann <ANN@Example.org>"),
        ("From: ann+news@example.org\n", b"From: ann+news@example.org"),
        ('From: "Smith, Ann" (of Sales)\n <ann@example.org>\n', b'From: "Smith, Ann" (of Sales)\r\n <ann@example.org>'),
        ("From: ann@example.org\nSender: ann+robot@example.org\n", b"Sender: ann+robot@example.org"),
        # Postfix adds it, from the envelope.
        ("", b"From: ann@example.org"),
    ],
)
def test_a_user_writes_in_his_own_name_in_every_form(filtered: FilteredHost, head: str, author: bytes) -> None:
    assert filtered.submit("ann@example.org", f"{head}Subject: x\n\nHello\n")[0] == 250
    message = filtered.received("ann@example.org")
    assert b"\r\n" + author + b"\r\n" in message
    assert filtered.verified(message) == ["rsa-sha256"]


def test_a_user_writes_as_an_address_that_forwards_to_him_while_it_does(filtered: FilteredHost) -> None:
    host = filtered.host
    host.forward("sales@example.org", "ann@example.org")
    assert filtered.submit("ann@example.org", MESSAGE.format("sales@example.org"))[0] == 250
    assert filtered.verified(filtered.received("ann@example.org")) == ["rsa-sha256"]
    assert host.call("delforward", source="sales@example.org") == 0
    assert filtered.submit("ann@example.org", MESSAGE.format("sales@example.org"))[0] == 550


def test_nothing_hides_behind_a_zero_byte(filtered: FilteredHost) -> None:
    head = "From: ann@example.org\0, eve@rival.test\n"
    assert filtered.submit("ann@example.org", f"{head}Subject: x\n\nHello\n")[0] == 550


def test_mail_from_elsewhere_is_neither_signed_nor_asked_who_wrote_it(filtered: FilteredHost) -> None:
    filtered.host.send("ann@example.org", "hello", sender="ann@example.org")
    message = filtered.received("ann@example.org")
    assert b"DKIM-Signature" not in message


def test_results_in_our_name_are_taken_out_and_others_left(filtered: FilteredHost) -> None:
    with filtered.host.smtp() as connection:
        text = (
            "Authentication-Results: mail.example.net; dkim=pass\r\n"
            "Authentication-Results: elsewhere.test; dkim=pass (theirs)\r\n"
            "Authentication-Results: (x) MAIL.example.net 1; spf=pass\r\n"
            "From: boss@elsewhere.test\r\n\r\nHello\r\n"
        )
        connection.sendmail("boss@elsewhere.test", ["ann@example.org"], text)
    message = filtered.received("ann@example.org")
    assert message.count(b"Authentication-Results:") == 1
    assert b"Authentication-Results: elsewhere.test; dkim=pass (theirs)\r\n" in message


@contextmanager
def without_key_file(filtered: FilteredHost) -> Iterator[None]:
    path = filtered.ports.settings.key_file
    away = path.rename(path.with_name("away"))
    try:
        yield
    finally:
        away.rename(path)


def test_what_cannot_be_signed_is_not_sent_unsigned(filtered: FilteredHost) -> None:
    message = MESSAGE.format("ann@example.org")
    with without_key_file(filtered):
        assert filtered.submit("ann@example.org", message)[0] == 451
    assert "cannot sign" in filtered.log.read_text()
    assert filtered.submit("ann@example.org", message)[0] == 250
    assert filtered.verified(filtered.received("ann@example.org")) == ["rsa-sha256"]


def test_without_the_milter_mail_waits_and_nothing_is_lost(filtered: FilteredHost) -> None:
    message = MESSAGE.format("ann@example.org")
    filtered.milter.close()
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        filtered.host.send("ann@example.org", "from outside")
    assert refused.value.smtp_code == 451
    filtered.start()
    filtered.host.send("ann@example.org", "from outside")
    filtered.received("ann@example.org")
    assert filtered.submit("ann@example.org", message)[0] == 250
    assert filtered.verified(filtered.received("ann@example.org")) == ["rsa-sha256"]


def test_a_line_of_the_log_tells_each_message_and_no_content(filtered: FilteredHost) -> None:
    filtered.submit("ann@example.org", MESSAGE.format("ann@example.org").replace("Hello", "Secret"))
    filtered.received("ann@example.org")
    filtered.submit("ann@example.org", MESSAGE.format("boss@rival.test"))
    *_, signed, refused = filtered.verdicts()
    assert (signed["login"], signed["from_domain"]) == ("ann@example.org", "example.org")
    assert re.fullmatch(r"mail(-[0-9]+)?/rsa", signed["selectors"])
    assert (signed["verdict"], refused["verdict"]) == ("signed", "550 5.7.1")
    assert (refused["reason"], refused["from_domain"]) == ("foreign From", "rival.test")
    assert {"queue_id", "milliseconds", "bytes"} <= signed.keys()
    log = filtered.log.read_text()
    assert "Secret" not in log and "boss@" not in log
