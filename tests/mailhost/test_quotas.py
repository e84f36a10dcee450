"""A mailbox takes what it has room for; the rest is refused while the sender still holds it."""

import re

from tests.mailhost.host import SENDER, Host
from tests.service.running import wait_until

LINE = "x" * 70 + "\r\n"


def test_over_quota_is_refused_at_once_and_zero_is_no_limit(host: Host) -> None:
    host.add("small@example.org", quota=1)
    host.add("large@example.org", quota=0)

    code, text = host.recipient("small@example.org", size=1_100_000)
    assert (code, "Mailbox is full" in text) == (552, True)
    assert host.recipient("small+tag@example.org", size=1_100_000)[0] == 552
    assert host.recipient("small@example.org", size=900_000)[0] == 250
    assert host.recipient("large@example.org", size=30_000_000)[0] == 250
    host.command("mailbox quota small@example.org 2")
    assert host.recipient("small@example.org", size=1_100_000)[0] == 250


def test_a_full_mailbox_is_refused_without_an_announced_size_too(host: Host) -> None:
    host.add("full@example.org", quota=2)
    host.send("full@example.org", "large", LINE * (1_500_000 // len(LINE)))
    assert host.recipient("full@example.org", size=None)[0] == 250
    assert host.recipient("full@example.org", size=600_000)[0] == 552

    host.command("mailbox quota full@example.org 1")
    code, text = host.recipient("full@example.org", size=None)
    assert (code, "Mailbox is full" in text) == (552, True)

    host.command("mailbox quota full@example.org 0")
    assert host.recipient("full@example.org", size=600_000)[0] == 250


def test_what_finds_no_room_at_delivery_waits_for_it(host: Host) -> None:
    """As when several messages were accepted at once, of which each alone would fit."""
    host.add("waits@example.org", quota=1)
    with host.smtp() as connection:
        connection.mail(SENDER)
        assert connection.rcpt("waits@example.org")[0] == 250, "no size was announced"
        assert connection.data(f"Subject: waited\r\n\r\n{LINE * (1_100_000 // len(LINE))}")[0] == 250
    wait_until(lambda: any("deferred" in path.parts for path in host.queued()), "Postfix to try")
    host.command("mailbox quota waits@example.org 2")
    host.site.run(f"postqueue -c {host.site.directory}/etc/postfix -f")
    wait_until(lambda: not host.queued(), "the second try")
    assert host.inbox("waits@example.org") == ["waited"]


def test_a_mail_program_sees_the_quota_and_room_made_counts_at_once(host: Host) -> None:
    host.add("room@example.org", quota=1)
    with host.imap("room@example.org") as session:
        assert session.getquotaroot("INBOX")[1][1] == [b'"User quota" (STORAGE 0 1024)']
    host.send("room@example.org", "most of it", LINE * (900_000 // len(LINE)))
    assert host.recipient("room@example.org", size=200_000)[0] == 552

    with host.imap("room@example.org") as session:
        [[_, usage]] = [session.getquotaroot("INBOX")[1]]
        assert re.fullmatch(rb'"User quota" \(STORAGE (8[0-9]{2}|9[0-9]{2}) 1024\)', usage[0])
        session.select()
        session.store("1:*", "+FLAGS", r"\Deleted")
        session.expunge()
    assert host.recipient("room@example.org", size=900_000)[0] == 250


def test_a_mail_program_cannot_store_more_than_the_quota(host: Host) -> None:
    host.add("append@example.org", quota=1)
    with host.imap("append@example.org") as session:
        outcome, words = session.append("INBOX", "", "", (LINE * (1_100_000 // len(LINE))).encode())
    assert (outcome, b"OVERQUOTA" in words[0]) == ("NO", True)
