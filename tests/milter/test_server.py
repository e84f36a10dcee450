"""The protocol and the process's manners, told by a client of the milter's own protocol."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from mailsvc.milter import server as servers
from mailsvc.milter import wire
from mailsvc.milter.messages import Message, Verdict
from mailsvc.milter.server import Server
from tests.milter.mta import LIMIT, OFFER, Mta, connected

TAKEN = (wire.CONTINUE, b"")


class Recorder:
    """A judge that keeps what it is shown, and says what it is told to."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.says = Verdict()
        self.refuses: set[str] = set()
        self.go = threading.Event()
        self.go.set()
        self.asked = threading.Event()

    def recipient(self, message: Message, recipient: str) -> str | None:
        return "552 5.2.2 full" if recipient in self.refuses else None

    def verdict(self, message: Message) -> Verdict:
        self.messages.append(message)
        self.asked.set()
        assert self.go.wait(LIMIT)
        return self.says


@pytest.fixture
def judge() -> Recorder:
    """What decides in these tests."""
    return Recorder()


@contextmanager
def serving(judge: Recorder) -> Iterator[tuple[Server, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = Server(listener, judge)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server, port
        finally:
            server.stop()
            thread.join(LIMIT)
            assert not thread.is_alive()


@pytest.fixture
def port(judge: Recorder) -> Iterator[int]:
    """Where a milter listens."""
    with serving(judge) as (_, number):
        yield number


@pytest.fixture
def mta(port: int) -> Iterator[Mta]:
    """A connection that has agreed on options."""
    client = connected(port)
    client.negotiated()
    with client.connection:
        yield client


def test_it_agrees_to_what_it_needs_and_no_more(port: int) -> None:
    with connected(port).connection as connection:
        version, actions, steps = Mta(connection).negotiated()
    assert (version, actions, steps) == (6, 0x11, 0x100000 | 0x80000 | 0x40000 | 0x4000 | 0x80 | 0x303)


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        struct.pack("!III", 2, 0x1FF, 0x1FFFFF),
        struct.pack("!III", 6, 1, 0x1FFFFF),
        struct.pack("!III", 6, 0x1FF, 0),
    ],
)
def test_it_hangs_up_on_who_cannot_do_what_it_needs(port: int, offer: bytes) -> None:
    with connected(port).connection as connection:
        client = Mta(connection)
        client.send((wire.NEGOTIATE, offer))
        with pytest.raises(EOFError):
            client.receive()


def test_it_answers_each_step_of_who_wants_that(port: int) -> None:
    steps = [
        (b"C", b"client\0U"),
        (b"H", b"client\0"),
        (wire.MAIL, b"<>\0"),
        (wire.RECIPIENT, b"<a@b.test>\0"),
        (b"T", b""),
        (wire.HEADER, b"From\0 x\0"),
        (wire.END_OF_HEADERS, b""),
        (wire.BODY, b"x\r\n"),
        (wire.END_OF_MESSAGE, b""),
    ]
    with connected(port).connection as connection:
        client = Mta(connection)
        assert client.negotiated(struct.pack("!III", 6, 0x11, wire.LEADING_SPACE))[2] == wire.LEADING_SPACE
        for step in steps:
            client.send(step)
            assert client.receive() == TAKEN


def test_it_takes_in_what_it_is_told(mta: Mta, judge: Recorder) -> None:
    mta.begin("ann@example.org", "ben@example.org", login="eve@rival.test", parameters=("BODY=8BITMIME", "size=1234"))
    headers = [("From", " eve@rival.test"), ("Subject", " a\n b"), ("X-Empty", "")]
    assert list(mta.end(*headers, body=b"line\r\n" * 3)) == [TAKEN]
    [message] = judge.messages
    assert (message.login, message.queue_id, message.announced) == ("eve@rival.test", "4ABC", 1234)
    assert message.recipients == ["ann@example.org", "ben@example.org"]
    assert message.headers == [(name.encode(), value.encode()) for name, value in headers]
    assert message.size == len("From: eve@rival.test\r\nSubject: a\r\n b\r\nX-Empty:\r\n") + 18


def test_it_keeps_messages_of_a_session_apart(mta: Mta, judge: Recorder) -> None:
    mta.begin("ann@example.org", login="eve@rival.test")
    assert list(mta.end(("From", " one"))) == [TAKEN]
    mta.begin("never@example.org")
    mta.send((wire.ABORT, b""))
    mta.begin("ben@example.org")
    assert list(mta.end(("From", " two"), queue_id="4DEF")) == [TAKEN]
    one, two = judge.messages
    assert (one.login, two.login) == ("eve@rival.test", None)
    assert (two.recipients, two.headers, two.queue_id) == (["ben@example.org"], [(b"From", b" two")], "4DEF")


def test_a_recipient_that_was_refused_is_none(mta: Mta, judge: Recorder) -> None:
    judge.refuses = {"full@example.org"}
    mta.begin("ann@example.org")
    assert mta.recipient("full@example.org") == (wire.REPLY, b"552 5.2.2 full\0")
    assert list(mta.end()) == [TAKEN]
    assert judge.messages[0].recipients == ["ann@example.org"]


def test_a_verdict_changes_headers_before_it_accepts(mta: Mta, judge: Recorder) -> None:
    judge.says = Verdict(signatures=[b" v=1; a", b" v=1;\n b"], forged=[1, 3])
    mta.begin("ann@example.org")
    name = b"authentication-results\0\0"
    assert list(mta.end()) == [
        (wire.CHANGE_HEADER, b"\0\0\0\x03" + name),
        (wire.CHANGE_HEADER, b"\0\0\0\x01" + name),
        (wire.INSERT_HEADER, b"\0\0\0\0DKIM-Signature\0 v=1; a\0"),
        (wire.INSERT_HEADER, b"\0\0\0\0DKIM-Signature\0 v=1;\n b\0"),
        TAKEN,
    ]


def test_a_refusal_is_said_in_its_words(mta: Mta, judge: Recorder) -> None:
    judge.says = Verdict("550 5.7.1 Not 100% you")
    mta.begin("ann@example.org")
    assert list(mta.end()) == [(wire.REPLY, b"550 5.7.1 Not 100%% you\0")]


def test_headers_without_end_are_counted_and_not_kept(mta: Mta, judge: Recorder) -> None:
    mta.begin("ann@example.org")
    list(mta.end(*[("X", "x" * 1000)] * 2000))
    [message] = judge.messages
    assert message.is_cut
    assert message.size == 2000 * 1004 + 7
    assert sum(len(value) for _, value in message.headers) < 1 << 20


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0\0\0\0",
        b"\xff\xff\xff\xffx",
        b"\0\0\0\x05M<",
        wire.packet(wire.BODY, b"x"),
        wire.packet(wire.END_OF_MESSAGE),
        wire.packet(wire.RECIPIENT, b"<a@b.test>\0"),
    ],
)
def test_nonsense_costs_only_its_own_connection(port: int, mta: Mta, judge: Recorder, nonsense: bytes) -> None:
    with connected(port).connection as connection:
        connection.sendall(nonsense)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    mta.begin("ann@example.org")
    assert list(mta.end()) == [TAKEN]
    assert len(judge.messages) == 1


def test_many_connections_are_served_at_once(port: int, judge: Recorder) -> None:
    clients = [connected(port) for _ in range(100)]
    for client in clients:
        client.negotiated()
        client.begin("ann@example.org")
    for client in reversed(clients):
        assert list(client.end()) == [TAKEN]
        client.connection.close()
    assert len(judge.messages) == 100


def test_more_connections_than_there_are_places_wait(judge: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST", 1)
    with serving(judge) as (_, port), connected(port).connection as first, connected(port).connection as second:
        assert Mta(first).negotiated()
        Mta(second).send((wire.NEGOTIATE, OFFER))
        first.close()
        assert Mta(second).receive()[0] == wire.NEGOTIATE


def test_asked_to_end_it_finishes_the_message_under_way(judge: Recorder) -> None:
    judge.go.clear()
    with serving(judge) as (server, port), connected(port).connection as busy, connected(port).connection as idle:
        for connection in (busy, idle):
            Mta(connection).negotiated()
        Mta(busy).begin("ann@example.org")
        answers: list[tuple[bytes, bytes]] = []
        sending = threading.Thread(target=lambda: answers.extend(Mta(busy).end()))
        sending.start()
        assert judge.asked.wait(LIMIT)
        server.stop()
        assert idle.recv(1) == b""
        judge.go.set()
        sending.join(LIMIT)
        assert answers == [TAKEN]
        assert busy.recv(1) == b""


def test_a_message_that_never_ends_does_not_keep_it(judge: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "GRACE_SECONDS", 0.1)
    with serving(judge) as (_, port), connected(port).connection as connection:
        client = Mta(connection)
        client.negotiated()
        client.begin("ann@example.org")
    assert judge.messages == []
