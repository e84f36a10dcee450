"""Servers that are silent, endless, gone or forbidden: each is told apart, and none holds a conversation for long.

No test asserts how long anything took: a limit that does not hold shows as a test that never ends.
"""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mailsvc.core.smtp_profile import STARTTLS, TLS
from mailsvc.courier import lines, smtp
from mailsvc.courier.routes import Limits, Step, Why
from mailsvc.courier.targets import Targets
from tests.courier.sending import MESSAGE, QUICK, TARGETS, failure, route, sent
from tests.servers.certificates import Authority
from tests.servers.smtp import Gone, Peer, Sane, Script, scripted

PATIENT = Limits(connect=30, greeting=30, reply=30, total=0.5)
"""Every single limit is long, the total is short."""


def silent(peer: Peer) -> None:
    """Takes the connection and says nothing."""
    peer.wait_until_gone()


def silent_after(words: int) -> Script:
    """A script of a server that stops speaking after ``words`` replies of a whole delivery."""

    def script(peer: Peer) -> None:
        replies = [
            "220 hello",
            "250-hello\r\n250 AUTH LOGIN",
            "334 VXNlcg==",
            "334 UGFzcw==",
            "235 in",
            "250 ok",
            "250 ok",
        ]
        for number, reply in enumerate([*replies, "354 go", "250 taken"]):
            if number == words:
                break
            if number == 8:
                peer.hear_message()
            elif number:
                peer.hear()
            peer.say(reply)
        peer.wait_until_gone()

    return script


STEPS = [
    (Step.CONNECT, Why.NO_GREETING),
    (Step.CONNECT, Why.REPLY_TIMEOUT),
    (Step.AUTHENTICATE, Why.REPLY_TIMEOUT),
    (Step.AUTHENTICATE, Why.REPLY_TIMEOUT),
    (Step.AUTHENTICATE, Why.REPLY_TIMEOUT),
    (Step.SEND, Why.REPLY_TIMEOUT),
    (Step.SEND, Why.REPLY_TIMEOUT),
    (Step.SEND, Why.REPLY_TIMEOUT),
    (Step.SEND, Why.REPLY_TIMEOUT),
]


@pytest.mark.parametrize("words", range(9))
def test_silence_at_each_step(words: int) -> None:
    with scripted(silent_after(words)) as server:
        failed = failure(server.port, username="u", password="p", limits=QUICK)
    assert (failed.step, failed.why) == STEPS[words]


def test_silence_after_the_message_was_taken_does_no_harm() -> None:
    with scripted(silent_after(9)) as server:
        delivery = sent(server.port, username="u", password="p", limits=Limits(total=5))
    assert delivery.response.line == "250 taken"


@pytest.mark.parametrize("words", range(9))
def test_a_connection_lost_at_each_step(words: int) -> None:
    script = silent_after(words)

    def leave(peer: Peer) -> None:
        peer.wait_until_gone = lambda: None  # type: ignore[method-assign]
        script(peer)
        if words < 8:
            peer.hear() if words else None

    with scripted(leave) as server:
        failed = failure(server.port, username="u", password="p")
    assert (failed.step, failed.why) == (STEPS[words][0], Why.LOST)
    assert failed.detail


@pytest.mark.parametrize("security", [TLS, STARTTLS])
def test_silence_in_the_handshake(security: str) -> None:
    def script(peer: Peer) -> None:
        if security == STARTTLS:
            peer.say("220 hello")
            peer.hear()
            peer.say("250-hello", "250 STARTTLS")
            peer.hear()
            peer.say("220 go")
        while peer.sock.recv(65536):
            pass

    with scripted(script) as server:
        failed = failure(server.port, security, limits=QUICK)
    assert (failed.step, failed.why) == (Step.CONNECT, Why.NO_GREETING if security == TLS else Why.REPLY_TIMEOUT)


def dripping(piece: bytes) -> Script:
    """A script of a server that never stops to say ``piece``, a little at a time."""

    def script(peer: Peer) -> None:
        pause = threading.Event()
        while True:
            peer.raw(piece)
            pause.wait(0.02)

    return script


@pytest.mark.parametrize("piece", [b"2", b"220-x\r\n", b"\0"])
def test_a_server_that_drips_meets_the_total(piece: bytes) -> None:
    with scripted(dripping(piece)) as server:
        failed = failure(server.port, limits=PATIENT)
    assert failed.why in (Why.NO_GREETING, Why.LOST)


def test_a_server_that_drips_meets_the_limit_of_a_reply() -> None:
    with scripted(dripping(b"2")) as server:
        assert failure(server.port, limits=QUICK).why is Why.NO_GREETING


def flooding(piece: bytes) -> Script:
    """A script of a server that says ``piece`` without end and without pause."""

    def script(peer: Peer) -> None:
        while True:
            peer.raw(piece)

    return script


@pytest.mark.parametrize(
    "piece", [b"220-x\r\n" * 1000, b"2" * 65536, b"220-" + b"x" * 4000 + b"\r\n", b"\r\n", b"\xff\n"]
)
def test_a_reply_without_end(piece: bytes) -> None:
    with scripted(flooding(piece)) as server:
        failed = failure(server.port)
    assert (failed.why, failed.step) == (Why.LOST, Step.CONNECT)


@pytest.mark.parametrize("greeting", ["HTTP/1.1 400 Bad Request", "22", "", "2200 hello", "abc def", "220+x"])
def test_what_is_no_reply(greeting: str) -> None:
    def script(peer: Peer) -> None:
        peer.say(greeting)
        peer.wait_until_gone()

    with scripted(script) as server:
        assert failure(server.port).why is Why.LOST


def test_a_reply_in_pieces_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 3)
    sane = Sane()
    with scripted(sane) as server:
        with pytest.raises(smtp.SendFailed):
            sent(server.port)
        monkeypatch.setattr(lines, "LINE_BYTES", 100)
        sent(server.port)
    assert len(sane.received) == 1


def test_a_client_that_does_not_read_is_not_waited_for_either() -> None:
    """A message that the server does not take in: its window is full, and stays so."""
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.say("220 hello")
        for reply in ("250 hello", "250 ok", "250 ok", "354 go"):
            peer.hear()
            peer.say(reply)
        go.wait(60)
        raise Gone

    with scripted(script) as server:
        big = smtp.Message("a@x.test", ["b@x.test"], (b"x" * 70 + b"\r\n") * 500_000)
        failed = failure(server.port, message=big, limits=Limits(reply=0.5))
        go.set()
    assert (failed.why, failed.step) == (Why.REPLY_TIMEOUT, Step.SEND)


# Getting there


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failed = failure(port)
    assert (failed.why, failed.step, failed.detail) == (Why.REFUSED, Step.CONNECT, f"127.0.0.1:{port}")


@pytest.fixture
def full() -> Iterator[int]:
    """A port whose queue of connections is full, so that the next one is never answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port: int = listener.getsockname()[1]
        waiting = []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        yield port
        for sock in waiting:
            sock.close()


def test_nobody_answers(full: int) -> None:
    failed = failure(full, limits=QUICK)
    assert (failed.why, failed.step) == (Why.CONNECT_TIMEOUT, Step.CONNECT)
    assert failure(full, limits=PATIENT).why is Why.CONNECT_TIMEOUT


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a\0b", "." * 300, "\udcff"])
def test_no_such_host(host: str) -> None:
    failed = failure(25, host=host)
    assert (failed.why, failed.step) == (Why.NOT_FOUND, Step.CONNECT)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let each look-up give the next of ``answers``, the last one for ever; what is dialled is returned as it comes."""
    dialled: list[str] = []
    left = list(answers)
    connect = socket.socket.connect

    def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    def dial(sock: socket.socket, address: Any) -> None:
        dialled.append(address[0])
        connect(sock, address)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", dial)
    return dialled


def test_a_forbidden_address_is_never_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = resolving(monkeypatch, "169.254.169.254")
    failed = failure(25, host="metadata.test")
    assert (failed.why, failed.step, dialled) == (Why.DENIED, Step.CONNECT, [])


def test_an_answer_that_changes_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch, trusted: Authority) -> None:
    sane = Sane(starttls=trusted.pair("rebinding.test").context())
    with scripted(sane) as server:
        dialled = resolving(monkeypatch, "127.0.0.1", "169.254.169.254")
        sent(server.port, STARTTLS, host="rebinding.test")
        assert dialled == ["127.0.0.1"]
        assert failure(server.port, STARTTLS, host="rebinding.test").why is Why.DENIED
    assert dialled == ["127.0.0.1"] and len(sane.received) == 1


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch, full: int) -> None:
    sane = Sane()
    with scripted(sane) as server:
        ends = [("127.0.0.1", full), ("127.0.0.1", server.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", end) for end in ends]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        smtp.send(TARGETS, route(25, host="two.test", limits=Limits(connect=2)), MESSAGE)
    assert len(sane.received) == 1


def test_no_limit_outlives_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    connect = Targets.connect

    def watched(targets: Targets, host: str, port: int, seconds: float) -> socket.socket:
        seen.append(seconds)
        return connect(targets, host, port, seconds)

    monkeypatch.setattr(Targets, "connect", watched)
    with scripted(silent) as server:
        failure(server.port, limits=PATIENT)
    assert seen == [0.5]
