"""Foreign servers that are broken, huge, hostile or old."""

import os
import subprocess
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import replace

import pytest

import config
from mailsvc.core.mail_accounts import IMAP, POP3
from mailsvc.courier import imap
from mailsvc.services import login_checks
from mailsvc.services.mail_sources import MOST_WITHHELD
from tests.servers.dovecot_mail import PASSWORD
from tests.servers.scripted import Talk, scripted
from tests.services.callers import found
from tests.services.collecting import Stage, message, new_user, subjects

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

hasty = pytest.mark.parametrize("more_settings", [{"CONNECT_TIMEOUT": "1", "LOGIN_TIMEOUT": "1"}])


def imap_server(*answers: Callable[[Talk, str, str], bool]) -> Callable[[Talk], None]:
    """An IMAP server. Each of ``answers`` may answer a command (tag, command), and says whether it has."""

    def script(talk: Talk) -> None:
        talk.say("* OK ready")
        while True:
            tag, _, command = talk.hear().partition(" ")
            if any(answer(talk, tag, command.upper()) for answer in answers):
                continue
            if command.upper() == "CAPABILITY":
                talk.say("* CAPABILITY IMAP4rev1")
            elif command.upper().startswith("EXAMINE"):
                talk.say("* 1 EXISTS", "* OK [UIDVALIDITY 7] ok", "* OK [UIDNEXT 2] ok")
            elif command.upper().startswith("UID SEARCH"):
                talk.say("* SEARCH 1")
            talk.say(f"{tag} OK done")

    return script


def sizes(size: int) -> Callable[[Talk, str, str], bool]:
    def answer(talk: Talk, tag: str, command: str) -> bool:
        if command.startswith("UID FETCH") and "SIZE" in command:
            talk.say(f"* 1 FETCH (UID 1 RFC822.SIZE {size})", f"{tag} OK done")
            return True
        return False

    return answer


def body(send: Callable[[Talk, str], None]) -> Callable[[Talk, str, str], bool]:
    def answer(talk: Talk, tag: str, command: str) -> bool:
        if "BODY.PEEK[]" in command:
            send(talk, tag)
            return True
        return False

    return answer


@hasty
@pytest.mark.parametrize("size", [100, 10_000_000])
def test_a_server_that_hangs_amid_a_literal_ends_by_the_time_limit(staged: Stage, size: int) -> None:
    def hang(talk: Talk, _tag: str) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {5000}\r\nSubject: half")
        talk.wait()

    with scripted(imap_server(sizes(size), body(hang))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert (row["last_error"], row["collected"], row["failing_since"]) == ("Imap.FetchAsync timeout", 0, None)
    assert found(staged.ports, "SELECT * FROM collected_message") == []


def test_a_line_that_carries_a_part_of_a_large_message_carries_small_ones_together(staged: Stage) -> None:
    """What is asked for by one command must arrive within its time limit."""
    count, size = 100, 10_000

    def listed(talk: Talk, tag: str, command: str) -> bool:
        if command.startswith("EXAMINE"):
            talk.say(f"* {count} EXISTS", "* OK [UIDVALIDITY 7] ok", f"* OK [UIDNEXT {count + 1}] ok")
        elif command.startswith("UID SEARCH"):
            talk.say(" ".join(("* SEARCH", *map(str, range(1, count + 1)))))
        elif command.startswith("UID FETCH") and "SIZE" in command:
            talk.say(*(f"* {uid} FETCH (UID {uid} RFC822.SIZE {size})" for uid in range(1, count + 1)))
        elif "BODY.PEEK[]" in command:
            for uid in command.split(" ")[2].split(","):
                text = message(uid).ljust(size - 2, b".") + b"\r\n"
                talk.say(f"* {uid} FETCH (UID {uid} BODY[] {{{size}}}", text + b")")
        else:
            return False
        talk.say(f"{tag} OK done")
        return True

    with scripted(imap_server(listed)) as source:
        assert staged.visit(staged.save(new_user(), port=source.port))["collected"] == count
    asked = [line.split(b" ")[3].count(b",") + 1 for line in source.heard if b"BODY.PEEK[]" in line]
    assert sum(asked) == count
    assert max(asked) * size <= imap.CHUNK


def test_mail_that_is_announced_during_a_visit_is_news(staged: Stage) -> None:
    """A server may say it in the answer to any command (RFC 3501, section 7.3.1), and does not repeat it."""

    def others(talk: Talk, tag: str, command: str) -> bool:
        if command == "CAPABILITY":
            talk.say("* CAPABILITY IMAP4rev1 IDLE")
        elif command == "IDLE":
            talk.say("+ waiting")
            talk.hear()
        else:
            return False
        talk.say(f"{tag} OK done")
        return True

    def announce(talk: Talk, tag: str) -> None:
        talk.say("* 1 FETCH (UID 1 BODY[] {2}", b"a)", "* 2 EXISTS", f"{tag} OK done")

    source = staged.incoming(new_user())
    with scripted(imap_server(others, body(announce))) as server:
        session = imap.log_in(login_checks.links_of(staged.ports), replace(source, port=server.port), PASSWORD)
        session.examine()
        assert session.search(1, 1) == [1]
        assert not session.idle()
        session.done()
        session.examine()
        session.small([1])
        assert session.idle()
        session.done()
        session.examine()
        assert not session.idle()
        session.done()
        session.close()


@hasty
def test_a_pop3_server_that_hangs_amid_a_message(staged: Stage) -> None:
    def script(talk: Talk) -> None:
        talk.say("+OK ready")
        while True:
            word = talk.hear().split()[0]
            if word == "RETR":
                talk.say("+OK", "Subject: half")
                talk.wait()
            lists = {"LIST": ("+OK", "1 10", "."), "UIDL": ("+OK", "1 a", "."), "CAPA": ("-ERR",)}
            talk.say(*lists.get(word, ("+OK",)))

    with scripted(script) as source:
        row = staged.visit(staged.save(new_user(), POP3, port=source.port))
    assert (row["last_error"], row["collected"]) == ("Pop.FetchAsync timeout", 0)


def test_a_server_that_announces_too_much_is_not_believed(staged: Stage) -> None:
    def flood(talk: Talk, _tag: str) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {99999999999}\r\n")
        talk.wait()

    with scripted(imap_server(sizes(100), body(flood))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert row["last_error"] == "the server sends more than was asked for"


def test_a_server_that_never_stops_is_cut_short(staged: Stage) -> None:
    def flood(talk: Talk, _tag: str) -> None:
        while True:
            talk.send(b"* 1 FETCH (FLAGS (\\Seen))\r\n" * 1000)

    with scripted(imap_server(sizes(100), body(flood))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert row["last_error"] in ("the server sends more than was asked for", "The server closed the connection.")


def test_a_message_without_a_true_size_arrives(staged: Stage) -> None:
    """Some servers guess the sizes of messages, or leave them out."""
    text = message("guessed", body="x" * 70 + "\r\n" * 5)

    def part(talk: Talk, tag: str) -> None:
        talk.send(f"* 1 FETCH (BODY[]<0> {{{len(text)}}}\r\n".encode() + text + b" UID 1)\r\n")
        talk.say(f"{tag} OK done")

    def unsized(talk: Talk, tag: str, command: str) -> bool:
        if command.startswith("UID FETCH") and "SIZE" in command:
            talk.say("* 1 FETCH (FLAGS (\\Recent) UID 1)", f"{tag} OK done")
            return True
        return False

    with scripted(imap_server(unsized, body(part))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert (row["last_error"], row["collected"]) == (None, 1)
    assert subjects(staged.collected()) == ["guessed"]


def test_a_server_that_lies_about_a_size_cannot_fill_the_disk(staged: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsvc.services.mail_sources.MOST_BYTES", 3 * imap.CHUNK)

    def endless(talk: Talk, tag: str) -> None:
        talk.send(f"* 1 FETCH (UID 1 BODY[]<0> {{{imap.CHUNK}}}\r\n".encode() + b"x" * imap.CHUNK + b")\r\n")
        talk.say(f"{tag} OK done")

    with scripted(imap_server(sizes(imap.CHUNK + 1), body(endless))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert (row["last_error"], row["collected"]) == (None, 0)
    assert found(staged.ports, "SELECT outcome FROM collected_message") == [("too_large",)]


def pop3_without_ids(texts: Sequence[bytes], *some: str, withheld: Container[str] = ()) -> Callable[[Talk], None]:
    """A POP3 server; ``some`` are the lines that it has for UIDL, if it knows that at all, ``withheld`` the numbers of
    messages that it does not give.
    """

    def script(talk: Talk) -> None:
        talk.say("+OK ready")
        while True:
            word, _, number = talk.hear().partition(" ")
            if word == "LIST":
                talk.say("+OK", *(f"{place} {len(text)}" for place, text in enumerate(texts, 1)), ".")
            elif word == "RETR" and number not in withheld:
                lines = texts[int(number) - 1].removesuffix(b"\r\n").split(b"\r\n")
                talk.say("+OK", *(b"." + line if line.startswith(b".") else line for line in lines), ".")
            elif word == "UIDL" and some:
                talk.say("+OK", *some, ".")
            elif word in ("USER", "PASS", "QUIT"):
                talk.say("+OK")
            else:
                talk.say("-ERR what?")

    return script


def test_a_pop3_server_without_ids(staged: Stage) -> None:
    texts = [message(f"{number}") for number in range(3)]
    user = new_user()
    with scripted(pop3_without_ids(texts)) as source:
        account = staged.save(user, POP3, port=source.port)
        assert staged.visit(account)["collected"] == 3
        # Numbers mean nothing: the first is gone, and there is a new one.
        texts[:] = [texts[2], message("3"), texts[1]]
        assert staged.visit(account)["collected"] == 4
        assert staged.visit(account)["collected"] == 4
    assert subjects(staged.collected()) == ["0", "1", "2", "3"]
    assert not source.heard_any("DELE")


def test_a_pop3_server_that_has_ids_for_some_messages_only(staged: Stage) -> None:
    texts = [message(f"{number}") for number in range(3)]
    with scripted(pop3_without_ids(texts, "1 first", "2")) as source:
        account = staged.save(new_user(), POP3, port=source.port)
        assert staged.visit(account)["collected"] == 3
        assert staged.visit(account)["collected"] == 3
    assert subjects(staged.collected()) == ["0", "1", "2"]


def test_a_pop3_server_that_learns_ids_brings_nothing_twice(staged: Stage) -> None:
    user = new_user()
    texts = [message("1"), message("2")]
    for number, text in enumerate(texts):
        staged.foreign.put(user, text, f"{number}")
    with scripted(pop3_without_ids(texts)) as source:
        account = staged.save(user, POP3, port=source.port)
        assert staged.visit(account)["collected"] == 2
    # The same source by name, though on another port.
    assert staged.save(user, POP3) == account
    staged.foreign.put(user, message("3"), "3")
    assert staged.visit(account)["collected"] == 3
    assert subjects(staged.collected()) == ["1", "2", "3"]


def test_only_what_is_new_of_a_hundred_thousand_messages_is_fetched(staged: Stage) -> None:
    user = new_user()
    maildir = staged.foreign.maildir(user)
    first = maildir / "cur"
    for number in range(100_000):
        path = maildir / "cur" / f"{number:07}.x:2,S"
        # A file has no more than 65,000 names.
        if number % 50_000:
            os.link(first, path)
        else:
            first = path
            first.write_bytes(message("old").replace(b"\r\n", b"\n"))
            staged.foreign.own(first)
    account = staged.save(user)
    # As if they had all been collected before.
    staged.foreign.run("mailbox", "status", "-u", user, "messages uidvalidity", "INBOX")
    staged.visit(account)
    with staged.ports.store.writing() as unit:
        unit.exec_driver_sql("UPDATE collected_source SET scanned_uid = 100000, recorded_uid = 100000")
        unit.exec_driver_sql(
            "WITH RECURSIVE n(uid) AS (SELECT 200 UNION ALL SELECT uid + 1 FROM n WHERE uid < 100000)"
            " INSERT INTO collected_message (source_id, key, uid, content, outcome)"
            " SELECT s.id, randomblob(32), n.uid, randomblob(32), 'delivered' FROM n, collected_source s"
        )
    staged.wipe()
    for number in range(10):
        staged.foreign.put(user, message(f"new {number}"), f"9{number:07}.y")
    before = staged.row(account)["collected"]
    asked: list[object] = []
    plain = imap.ImapSession.listed

    def listed(self: imap.ImapSession, uids: Sequence[int], *, with_date: bool) -> list[imap.Listed]:
        asked.extend(uids)
        return plain(self, uids, with_date=with_date)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imap.ImapSession, "listed", listed)
        row = staged.visit(account)
    assert (row["collected"] - before, row["last_error"], len(asked)) == (10, None, 10)
    assert subjects(staged.collected()) == [f"new {number}" for number in range(10)]


MEASURED = """
import resource, sys
from mailsvc.cli.session import opened
from mailsvc.collector.worker import Worker

with opened(threads=12) as ports:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    Worker(ports, ports.settings.local_delivery).run_once()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("protocol", [IMAP, POP3])
def test_a_message_of_sixty_megabytes_is_never_whole_in_memory(staged: Stage, protocol: str) -> None:
    user = new_user()
    large = message("large", body=("x" * 74 + "\r\n") * (60_000_000 // 76))
    staged.foreign.put(user, large, "large")
    account = staged.save(user, protocol)
    staged.ports.store.close()
    environ = {
        "PATH": os.environ["PATH"],
        "MAILSVC_DATA_DIR": str(staged.ports.settings.data_dir),
        "MAILSVC_HOSTNAME": "mail.server.test",
        "MAILSVC_LOCAL_DELIVERY": f"lmtp://127.0.0.1:{staged.local.lmtp}",
    }
    command = [sys.executable, "-c", MEASURED]
    printed = subprocess.run(
        command, cwd=config.ROOT, env=environ, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    assert staged.row(account)["collected"] == 1
    [arrived] = staged.collected()
    assert len(arrived) > 58_000_000
    # KiB; the libraries that a visit loads are among it.
    assert int(printed) < 40_000
    staged.wipe()


Bodies = Callable[[int], bytes | None]


def withholding(bodies: Bodies, count: int, *, no: bool) -> Callable[[Talk, str, str], bool]:
    """An IMAP server with ``count`` messages, which does not give those without a body: with NO, or silently."""

    def answer(talk: Talk, tag: str, command: str) -> bool:
        words = command.split(" ")
        status = "OK done"
        if command.startswith("EXAMINE"):
            talk.say(f"* {count} EXISTS", "* OK [UIDVALIDITY 7] ok", f"* OK [UIDNEXT {count + 1}] ok")
        elif command.startswith("UID SEARCH"):
            first, last = map(int, words[3].split(":"))
            talk.say(" ".join(("* SEARCH", *map(str, range(first, last + 1)))))
        elif command.startswith("UID FETCH") and "SIZE" in command:
            talk.say(*(f"* {uid} FETCH (UID {uid} RFC822.SIZE 100)" for uid in map(int, words[2].split(","))))
        elif command.startswith("UID FETCH"):
            for uid in map(int, words[2].split(",")):
                text = bodies(uid)
                if text is not None:
                    talk.say(f"* {uid} FETCH (UID {uid} BODY[] {{{len(text)}}}", text + b")")
                elif no:
                    status = "NO [SERVERBUG] internal error"
        else:
            return False
        talk.say(f"{tag} {status}")
        return True

    return answer


@pytest.mark.parametrize("no", [True, False], ids=["NO", "OK"])
def test_a_message_that_is_not_given_holds_up_no_other_and_is_not_lost(staged: Stage, no: bool) -> None:
    unreadable = {2, 5}

    def bodies(uid: int) -> bytes | None:
        return None if uid in unreadable else message(str(uid))

    with scripted(imap_server(withholding(bodies, 6, no=no))) as source:
        account = staged.save(new_user(), port=source.port)
        for _ in range(2):
            row = staged.visit(account)
            assert row["last_error"] == "The server has message 2 and does not give it."
            assert row["collected"] == 4
        unreadable.clear()
        row = staged.visit(account)
        assert (row["last_error"], row["collected"]) == (None, 6)
        assert staged.visit(account)["collected"] == 6


@pytest.mark.parametrize("ids", [(), ("1 a", "2 b", "3 c")], ids=["without ids", "with ids"])
def test_a_message_that_a_pop3_server_does_not_give_holds_up_no_other(staged: Stage, ids: Sequence[str]) -> None:
    texts = [message(f"{number}") for number in range(3)]
    withheld = {"2"}
    with scripted(pop3_without_ids(texts, *ids, withheld=withheld)) as source:
        account = staged.save(new_user(), POP3, port=source.port)
        for _ in range(2):
            row = staged.visit(account)
            assert row["last_error"] == "The server has message 2 and does not give it."
            assert row["collected"] == 2
        withheld.clear()
        row = staged.visit(account)
        assert (row["last_error"], row["collected"]) == (None, 3)


def test_a_server_that_gives_nothing_is_not_asked_for_each_message(staged: Stage) -> None:
    with scripted(imap_server(withholding(lambda _: None, 200, no=True))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert (row["last_error"], row["collected"]) == ("The server has message 1 and does not give it.", 0)
    assert sum(b"BODY.PEEK[]" in line for line in source.heard) <= 1 + MOST_WITHHELD


def test_a_message_that_is_removed_meanwhile_is_none(staged: Stage) -> None:
    def searched(talk: Talk, tag: str, command: str) -> bool:
        if not command.startswith("UID SEARCH UID 2:2"):
            return False
        talk.say("* SEARCH", f"{tag} OK done")
        return True

    def bodies(uid: int) -> bytes | None:
        return None if uid == 2 else message(str(uid))

    with scripted(imap_server(searched, withholding(bodies, 3, no=False))) as source:
        row = staged.visit(staged.save(new_user(), port=source.port))
    assert (row["last_error"], row["collected"]) == (None, 2)
