"""``account list``, ``account show`` and what ``collect`` refuses."""

from mailsvc.core.mail_accounts import IMAP, LOGIN, SMTP, TLS, MailServer, Servers
from mailsvc.services import accounts
from mailsvc.services.accounts import Wanted
from mailsvc.services.ports import Ports
from tests.cli.command_line import CommandLine
from tests.services.callers import act_of

SECRET = "Canary-1"


def save(ports: Ports, user: str, email: str) -> int:
    """An account whose servers nobody asks."""
    incoming = MailServer(IMAP, "imap.x.org", 993, "me", TLS, LOGIN)
    outgoing = MailServer(SMTP, "smtp.x.org", 587, "me", TLS, LOGIN)
    wanted = Wanted(email, "Mine", Servers(incoming, outgoing), SECRET, SECRET, restrict=False, deliver_to="")
    return accounts.put(ports, act_of(ports, user), wanted).id


def test_how_collecting_gets_on(cli: CommandLine, ports: Ports) -> None:
    first, second = save(ports, "alice", "Me@x.org"), save(ports, "bob", "me@x.org")
    with ports.store.writing() as unit:
        unit.exec_driver_sql(
            "UPDATE external_account SET visited_at = 1790000000000, collected = 7, last_error = 'no answer'"
            f" WHERE id = {first}"
        )
    rows = cli("account", "list", "--json").rows
    assert [(row["id"], row["user"], row["email"]) for row in rows] == [
        (first, "alice", "me@x.org"),
        (second, "bob", "me@x.org"),
    ]
    assert rows[0]["last_visit"] == "2026-09-21T14:13:20Z"
    assert (rows[0]["collected"], rows[0]["last_error"]) == (7, "no answer")
    assert (rows[1]["last_visit"], rows[1]["collected"], rows[1]["last_error"]) == (None, 0, None)
    assert "no answer" in cli("account", "list").text
    shown = cli("account", "show", "ME@x.org", "--json").rows
    assert [details["id"] for details in shown] == [first, second]
    text = cli("account", "show", "me@x.org").text
    assert "last error     no answer" in text and "collected      7" in text
    assert SECRET not in text + repr(shown) + repr(rows)


def test_an_account_that_nobody_has(cli: CommandLine) -> None:
    assert cli("account", "show", "no@where.org").refusal == "there is no external account no@where.org"
    assert cli("account", "list", "--json").rows == []


def test_collecting_needs_a_place_to_deliver_to(cli: CommandLine) -> None:
    for arguments in (("collect",), ("collect", "--once")):
        assert "MAILSVC_LOCAL_DELIVERY is not set" in cli(*arguments).refusal
