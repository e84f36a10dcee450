"""Between a real Postfix and Dovecot: what does not fit is refused while the sender still has it."""

import pytest

from tests.mailhost.host import SENDER, Host
from tests.mailhost.test_sieve import put
from tests.milter.filtered import FilteredHost

LINE = "x" * 70 + "\r\n"
LARGE = LINE * 18_000
"""More than 1 MiB, which is the quota of the small boxes."""


@pytest.fixture(scope="module", autouse=True)
def boxes(whole_filtered_host: FilteredHost) -> None:
    """small@example.org (1 MiB), reached by a forward, by a chain and, on another domain, by a catch-all; and roomy."""
    host = whole_filtered_host.host
    host.add("small@example.org", quota=1)
    host.add("roomy@example.org")
    host.forward("forward@example.org", "small@example.org")
    host.forward("chain@example.org", "forward@example.org")
    host.forward("both@example.org", "roomy@example.org", "small@example.org")
    host.site.run(
        "mailsvc domain add catching.test --owner alice", "mailsvc domain catch-all catching.test small@example.org"
    )


def offered(host: Host, body: str, *recipients: str, size: int | None = None) -> tuple[list[int], int, str]:
    """The codes for each recipient of mail from elsewhere, and the answer at the end of DATA."""
    with host.smtp() as connection:
        connection.mail(SENDER, [] if size is None else [f"size={size}"])
        codes = [connection.rcpt(recipient)[0] for recipient in recipients]
        code, words = connection.data(f"From: {SENDER}\r\nSubject: x\r\n\r\n{body}")
    return codes, code, words.decode()


@pytest.mark.parametrize(
    "recipient", ["small", "small+tag", "forward", "forward+tag", "chain", "both", "anybody@catching.test"]
)
def test_too_much_is_refused_at_the_end_of_data_whichever_way_it_came(filtered: FilteredHost, recipient: str) -> None:
    address = recipient if "@" in recipient else f"{recipient}@example.org"
    codes, code, words = offered(filtered.host, LARGE, address)
    assert (codes, code) == ([250], 552)
    assert words.startswith(f"5.2.2 <{address}>")
    assert "small" in recipient or "small" not in words


def test_what_fits_is_delivered_and_more_room_counts_at_once(filtered: FilteredHost) -> None:
    host = filtered.host
    assert offered(host, LINE, "chain@example.org")[1] == 250
    filtered.received("small@example.org")
    host.site.run("mailsvc mailbox quota small@example.org 2")
    assert offered(host, LARGE, "chain@example.org")[1] == 250
    filtered.received("small@example.org")
    host.site.run("mailsvc mailbox quota small@example.org 1")


def test_too_much_is_refused_to_a_user_as_well(filtered: FilteredHost) -> None:
    text = f"From: roomy@example.org\nSubject: x\n\n{LARGE}".replace("\r\n", "\n")
    code, words = filtered.submit("roomy@example.org", text, "roomy@example.org", "forward@example.org")
    assert (code, words[:33]) == (552, "5.2.2 <forward@example.org>: the ")


def test_what_a_script_redirects_to_a_full_mailbox_is_kept_by_its_owner(filtered: FilteredHost) -> None:
    filtered.host.add("script@example.org")
    put(filtered.host, "script@example.org", 'redirect "small@example.org";')
    assert offered(filtered.host, LARGE, "script@example.org")[1] == 250
    assert b"\r\nSubject: x\r\n" in filtered.received("script@example.org")
    assert offered(filtered.host, LINE, "script@example.org")[1] == 250
    filtered.received("small@example.org")


def test_who_leads_to_nobody_is_refused_when_named(filtered: FilteredHost) -> None:
    host = filtered.host
    host.add("removed@example.org")
    host.forward("to.removed@example.org", "removed@example.org")
    assert host.recipient("to.removed@example.org")[0] == 250
    assert host.call("delmail", email="removed@example.org") == 0
    code, words = host.recipient("to.removed@example.org")
    assert (code, "nobody receives" in words) == (550, True)


def test_a_circle_that_a_removal_closes_is_refused_when_named(filtered: FilteredHost) -> None:
    host = filtered.host
    for domain in ("round.test", "about.test"):
        host.command(f"domain add {domain} --owner alice")
    host.add("box@round.test", "box@about.test")
    host.forward("on@round.test", "box@round.test")
    host.forward("on@about.test", "box@about.test")
    host.command("domain catch-all round.test on@about.test")
    host.command("domain catch-all about.test on@round.test")
    assert host.recipient("anybody@round.test")[0] == 250
    for address in ("box@round.test", "box@about.test"):
        assert host.call("delmail", email=address) == 0
    assert host.recipient("anybody@round.test")[0] == 550


def test_a_full_mailbox_behind_a_forward_does_not_keep_mail_from_others(filtered: FilteredHost) -> None:
    others, behind = ["roomy@example.org", "roomy+a@example.org"], "forward@example.org"
    codes, code, _ = offered(filtered.host, LARGE, others[0], behind, others[1], size=len(LARGE) + 100)
    assert (codes, code) == ([250, 552, 250], 250)
    filtered.host.wait_for_delivery()
    codes, code, _ = offered(filtered.host, LARGE, behind, *others, size=len(LARGE) + 100)
    assert (codes, code) == ([250, 452, 452], 552)
    assert len(filtered.host.messages("roomy@example.org")) == 2
