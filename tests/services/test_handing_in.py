"""What becomes of a collected message when the local mail server takes it, takes it later, or never."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from mailsvc.services.collection import FULL_PAUSE
from tests.servers.dovecot_mail import dovecot_mail
from tests.servers.scripted import Scripted, Talk, scripted, smtp
from tests.services.callers import found, remove_mailbox
from tests.services.collecting import LOCAL, Stage, message, milliseconds, new_user, subjects

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


TINY_QUOTA = """
mail_plugins = quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_grace = 0
  quota_rule = *:bytes=1800
}
"""


@contextmanager
def target(staged: Stage, replies: dict[str, str], *extensions: str, greeting: str = "220 hello") -> Iterator[Scripted]:
    """A local mail server that gives ``replies``, by command; a reply is taken out once it was given."""

    def reply(line: str) -> str | None:
        return replies.pop(line.split(" ")[0].upper(), None)

    with scripted(lambda talk: smtp(talk, *extensions, reply=reply, greeting=greeting)) as server:
        staged.target = ("127.0.0.1", server.port)
        yield server


def saved(staged: Stage, *names: str) -> int:
    user = new_user()
    for name in names:
        staged.foreign.put(user, message(name), name)
    return staged.save(user)


def outcomes(staged: Stage) -> list[str]:
    return [outcome for (outcome,) in found(staged.ports, "SELECT outcome FROM collected_message ORDER BY uid")]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RCPT", "452 4.2.2 Mailbox is full"),
        ("RCPT", "552 5.2.2 Mailbox is full"),
        ("RCPT", "552 no more"),
        (".", "452 no room"),
        (".", "452 4.3.1 Insufficient system storage"),
        (".", "552 5.2.2 Quota exceeded"),
        (".", "450 4.2.2 Over quota"),
        (".", "550 5.2.2 Over quota"),
        ("MAIL", "452 4.3.1 Insufficient system storage"),
    ],
)
def test_a_full_mailbox_ends_the_visit_for_ten_minutes(staged: Stage, command: str, reply: str) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {command: reply}):
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (1, 0, reply)
        assert row["next_visit_at"] == milliseconds(staged.clock() + FULL_PAUSE)
        assert outcomes(staged) == []
        with pytest.raises(AssertionError, match="not to be had"):
            staged.visit(account)
        staged.clock.move(seconds=601)
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (0, 2, None)
    assert outcomes(staged) == ["delivered", "delivered"]


def test_a_real_mailbox_that_is_full(staged: Stage) -> None:
    user = new_user()
    for name in ("1", "2"):
        staged.foreign.put(user, message(name, body="x" * 700), name)
    account = staged.save(user)
    with dovecot_mail(more=TINY_QUOTA) as full:
        staged.target = ("127.0.0.1", full.lmtp)
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"]) == (1, 1)
        assert "5.2.2" in row["last_error"] or row["last_error"].startswith(("452", "552"))
    staged.clock.move(seconds=601)
    staged.target = None
    assert staged.visit(account)["quota_error"] == 0


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize("reply", ["451 4.3.0 Try again later", "421 closing", "450 busy"])
def test_any_other_4xx_ends_the_visit(staged: Stage, command: str, reply: str) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {command: reply}):
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (0, 0, reply)
        assert row["next_visit_at"] == milliseconds(staged.clock() + timedelta(seconds=90))
        assert outcomes(staged) == []
        assert staged.visit(account)["collected"] == 2


@pytest.mark.parametrize("command", ["RCPT", "DATA", "."])
@pytest.mark.parametrize("reply", ["550 5.7.1 Spam", "554 no", "552 5.3.4 Message size exceeds fixed limit"])
def test_any_other_5xx_is_recorded_and_the_next_message_tried(staged: Stage, command: str, reply: str) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {command: reply}):
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (0, 1, None)
        assert staged.visit(account)["collected"] == 1
    assert outcomes(staged) == ["refused", "delivered"]


def test_a_message_is_not_refused_for_want_of_a_mailbox_that_is_gone(staged: Stage) -> None:
    account = saved(staged, "1")

    def script(talk: Talk) -> None:
        def reply(line: str) -> str | None:
            if not line.startswith("RCPT"):
                return None
            remove_mailbox(staged.ports, LOCAL)
            return "550 5.1.1 no such user"

        smtp(talk, reply=reply)

    with scripted(script) as server:
        staged.target = ("127.0.0.1", server.port)
        assert staged.visit(account)["last_error"] == "there is no local mailbox to collect into"
    assert outcomes(staged) == []


@pytest.mark.parametrize("reply", ["550 5.7.1 not from you", "530 5.7.0 log in first"])
def test_a_server_that_refuses_us_refuses_no_message(staged: Stage, reply: str) -> None:
    account = saved(staged, "1")
    with target(staged, {"MAIL": reply}):
        assert staged.visit(account)["last_error"] == reply
        assert outcomes(staged) == []
    with target(staged, {}, greeting="554 go away"):
        assert staged.visit(account)["last_error"] == "554 go away"
        assert outcomes(staged) == []


def test_a_server_that_is_down(staged: Stage) -> None:
    account = saved(staged, "1")
    staged.target = ("127.0.0.1", 1)
    assert "does not answer" in staged.visit(account)["last_error"]
    staged.target = None
    assert staged.visit(account)["collected"] == 1


def test_a_server_that_hangs_up_between_messages_is_called_again(staged: Stage) -> None:
    account = saved(staged, "1", "2", "3")

    def script(talk: Talk) -> None:
        def reply(line: str) -> str | None:
            if line == ".":
                # After its answer it is tired.
                talk.say("250 kept")
                raise EOFError
            return None

        smtp(talk, reply=reply)

    with scripted(script) as server:
        staged.target = ("127.0.0.1", server.port)
        row = staged.visit(account)
        assert (row["collected"], row["last_error"], server.calls) == (3, None, 3)


def test_a_server_that_hangs_up_instead_of_an_answer_gets_the_message_again(staged: Stage) -> None:
    account = saved(staged, "1")

    def script(talk: Talk) -> None:
        def hang_up(line: str) -> str | None:
            if line == ".":
                raise EOFError
            return None

        smtp(talk, reply=hang_up)

    with scripted(script) as server:
        staged.target = ("127.0.0.1", server.port)
        row = staged.visit(account)
        assert row["collected"] == 0 and "does not answer" in row["last_error"]
        first = [line for line in server.heard if line.startswith(b"X-Mailsvc-Collected")]
        staged.visit(account)
        marks = [line for line in server.heard if line.startswith(b"X-Mailsvc-Collected")]
    assert marks == first * 2
    assert outcomes(staged) == []


@pytest.mark.parametrize(("protocol", "hello"), [("lmtp", b"lhlo"), ("smtp", b"ehlo")])
def test_the_envelope(staged: Stage, protocol: str, hello: bytes) -> None:
    account = saved(staged, "1")
    staged.protocol = protocol
    with target(staged, {}, "SIZE 1000000", "8BITMIME") as server:
        staged.visit(account)
    assert server.heard[0] == hello + b" mail.server.test"
    assert server.heard[1].startswith(b"MAIL FROM:<> SIZE=") and server.heard[1].endswith(b" BODY=8BITMIME")
    assert server.heard[2] == f"RCPT TO:<{LOCAL}>".encode()
    begins = server.heard.index(b"DATA") + 1
    text = b"\r\n".join(server.heard[begins : server.heard.index(b".", begins)]) + b"\r\n"
    assert int(server.heard[1].split(b"SIZE=")[1].split()[0]) == len(text)
    assert text.partition(b"\r\n")[2] == message("1")


def test_a_foreign_message_cannot_end_the_data_early(staged: Stage) -> None:
    """Not even by bare line feeds, which some servers take for a line's end (SMTP smuggling)."""

    def script(talk: Talk) -> None:
        talk.say("* OK ready")
        body = b"Subject: evil\r\n\r\nx\n.\nMAIL FROM:<evil@x>\r\n.\r\nRCPT TO:<b@x>\n.\r\n.evil"
        while True:
            tag, _, command = talk.hear().partition(" ")
            words = command.upper()
            if words == "CAPABILITY":
                talk.say("* CAPABILITY IMAP4rev1")
            elif words.startswith("EXAMINE"):
                talk.say("* 1 EXISTS", "* OK [UIDVALIDITY 1] ok", "* OK [UIDNEXT 2] ok")
            elif words.startswith("UID SEARCH"):
                talk.say("* SEARCH 1")
            elif "BODY.PEEK[]" in words:
                talk.send(f"* 1 FETCH (UID 1 BODY[] {{{len(body)}}}\r\n".encode() + body + b")\r\n")
            elif words.startswith("UID FETCH"):
                talk.say(f"* 1 FETCH (UID 1 RFC822.SIZE {len(body)})")
            talk.say(f"{tag} OK done")

    with scripted(script) as source, target(staged, {}) as server:
        account = staged.save(new_user(), port=source.port)
        row = staged.visit(account)
    assert (row["collected"], row["last_error"]) == (1, None)
    assert [line for line in server.heard if line.split(b" ")[0].upper() in (b"MAIL", b"RCPT")][:2] == [
        b"MAIL FROM:<>",
        f"RCPT TO:<{LOCAL}>".encode(),
    ]
    # Every line of the message that begins with a dot has one more, whatever ends the line before it.
    begins = server.heard.index(b"DATA") + 1
    assert server.heard[begins + 1 : begins + 9] == [
        b"Subject: evil", b"", b"x", b"..", b"MAIL FROM:<evil@x>", b"..", b"RCPT TO:<b@x>", b"..",
    ]  # fmt: skip


def test_by_a_socket_in_the_file_system(staged: Stage) -> None:
    account = saved(staged, "1")
    staged.target = staged.local.lmtp_socket
    assert staged.visit(account)["collected"] == 1
    assert subjects(staged.collected()) == ["1"]
