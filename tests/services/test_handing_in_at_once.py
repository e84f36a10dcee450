"""Collected messages that go to the local mail server together with their commands (LMTP, PIPELINING, CHUNKING)."""

import pytest

from mailsvc.courier.handover import AT_ONCE, Handover
from tests.servers.scripted import Talk, scripted, smtp
from tests.services.collecting import LOCAL, Stage, message
from tests.services.test_handing_in import outcomes, saved, target

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

OFFERED = ("SIZE 1000000", "8BITMIME", "PIPELINING", "CHUNKING")


@on_sqlite
def test_the_bytes_arrive_as_they_are(staged: Stage) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {}, *OFFERED) as server:
        assert staged.visit(account)["collected"] == 2
    hello, mail, rcpt, bdat, text, *more = server.heard
    assert (hello, rcpt, server.calls) == (b"lhlo mail.server.test", f"RCPT TO:<{LOCAL}>".encode(), 1)
    assert mail == f"MAIL FROM:<> SIZE={len(text)} BODY=8BITMIME".encode()
    assert bdat == f"BDAT {len(text)} LAST".encode()
    assert text.startswith(b"X-Mailsvc-Collected: ") and text.partition(b"\r\n")[2] == message("1")
    assert more[3].partition(b"\r\n")[2] == message("2")


@pytest.mark.parametrize(
    ("text", "arrived"),
    [
        (b"a\n.\nMAIL FROM:<evil@x>\r\n.\r\n..b\r\n", b"a\n.\nMAIL FROM:<evil@x>\r\n.\r\n..b\r\n"),
        (b"no end", b"no end\r\n"),
    ],
)
def test_no_line_is_taken_for_the_end(text: bytes, arrived: bytes) -> None:
    with scripted(lambda talk: smtp(talk, *OFFERED)) as server:
        handover = Handover("lmtp", ("127.0.0.1", server.port), name="mail.server.test")
        handover.deliver(LOCAL, len(text), [text[:3], text[3:]])
        handover.close()
    assert server.heard[4:] == [arrived, b"quit"]


@pytest.mark.parametrize(
    ("protocol", "size", "extensions"),
    [
        ("smtp", 10, OFFERED),
        ("lmtp", AT_ONCE + 1, OFFERED),
        ("lmtp", 10, ("PIPELINING",)),
        ("lmtp", 10, ("CHUNKING",)),
    ],
)
def test_else_by_data(protocol: str, size: int, extensions: tuple[str, ...]) -> None:
    with scripted(lambda talk: smtp(talk, *extensions)) as server:
        handover = Handover(protocol, ("127.0.0.1", server.port), name="mail.server.test")
        handover.deliver(LOCAL, size, [b"x" * size])
        handover.close()
    assert server.heard[3:] == [b"DATA", b"x" * size, b".", b"quit"]


@on_sqlite
@pytest.mark.parametrize("command", ["MAIL", "RCPT", "BDAT"])
@pytest.mark.parametrize(
    ("reply", "full"),
    [("452 4.2.2 Mailbox is full", 1), ("451 4.3.0 Try again later", 0), ("421 closing", 0), ("450 busy", 0)],
)
def test_4xx_ends_the_visit(staged: Stage, command: str, reply: str, full: int) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {command: reply}, *OFFERED):
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (full, 0, reply)
        assert outcomes(staged) == []
        staged.clock.move(seconds=601)
        assert staged.visit(account)["collected"] == 2


@on_sqlite
@pytest.mark.parametrize("command", ["RCPT", "BDAT"])
@pytest.mark.parametrize("reply", ["550 5.7.1 Spam", "554 no", "552 5.3.4 Message size exceeds fixed limit"])
def test_5xx_is_recorded_and_the_next_message_tried(staged: Stage, command: str, reply: str) -> None:
    account = saved(staged, "1", "2")
    with target(staged, {command: reply}, *OFFERED):
        row = staged.visit(account)
        assert (row["quota_error"], row["collected"], row["last_error"]) == (0, 1, None)
    assert outcomes(staged) == ["refused", "delivered"]


@on_sqlite
def test_a_server_that_refuses_us_refuses_no_message(staged: Stage) -> None:
    account = saved(staged, "1")
    with target(staged, {"MAIL": "530 5.7.0 log in first"}, *OFFERED):
        assert staged.visit(account)["last_error"] == "530 5.7.0 log in first"
    assert outcomes(staged) == []


@pytest.mark.parametrize("last_words", [(), ("421 idle for too long",)])
def test_a_server_that_hung_up_is_called_again(last_words: tuple[str, ...]) -> None:
    def script(talk: Talk) -> None:
        def reply(line: str) -> str | None:
            if line.startswith("BDAT"):
                talk.say("250 kept", *last_words)
                raise EOFError
            return None

        smtp(talk, *OFFERED, reply=reply)

    with scripted(script) as server:
        handover = Handover("lmtp", ("127.0.0.1", server.port), name="mail.server.test")
        for number in (1, 2):
            handover.deliver(LOCAL, 3, [b"%d\r\n" % number])
            # Its end has come as soon as this returns.
            handover._client.sock.sock.settimeout(60)
            while handover._client.sock._fill():
                pass
        handover.close()
        assert (server.calls, [text for text in server.heard if text[1:] == b"\r\n"]) == (2, [b"1\r\n", b"2\r\n"])


@on_sqlite
def test_a_server_that_hangs_up_instead_of_an_answer_gets_the_message_at_the_next_visit(staged: Stage) -> None:
    account = saved(staged, "1")
    answers = iter([EOFError, None])

    def reply(line: str) -> str | None:
        if line.startswith("BDAT") and next(answers) is EOFError:
            raise EOFError
        return None

    with scripted(lambda talk: smtp(talk, *OFFERED, reply=reply)) as server:
        staged.target = ("127.0.0.1", server.port)
        row = staged.visit(account)
        assert row["collected"] == 0 and "does not answer" in row["last_error"]
        assert (server.calls, outcomes(staged)) == (1, [])
        assert staged.visit(account)["collected"] == 1
        marks = [text.partition(b"\r\n")[0] for text in server.heard if text.startswith(b"X-Mailsvc-Collected")]
    assert len(marks) == 2 and len(set(marks)) == 1
