"""What is made of the answers of a policy service, and of none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from config import TcpAddress, UnixAddress
from mailsvc.milter import quota_status
from mailsvc.milter.quota_status import Room, room

ANSWERS = {
    "room@example.org": b"action=DUNNO\n\n",
    "ok@example.org": b"action=OK\n\n",
    "full@example.org": b"action=552 5.2.2 Mailbox is full\n\n",
    "defer@example.org": b"action=DEFER_IF_PERMIT Internal error occurred\n\n",
    "nonsense@example.org": b"HTTP/1.1 400 Bad Request\r\n\r\n\n\n",
    "long@example.org": b"action=" + b"x" * 10_000,
    "gone@example.org": b"",
}


def serve(listener: socket.socket, asked: list[dict[str, str]]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        # Who gets too long an answer hangs up.
        with suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            question: dict[str, str] = {}
            for line in lines:
                name, _, value = line.decode().rstrip("\n").partition("=")
                if name:
                    question[name] = value
                    continue
                asked.append(question)
                if not (answer := ANSWERS[question["recipient"]]):
                    break
                connection.sendall(answer)
                question = {}


@pytest.fixture
def asked() -> list[dict[str, str]]:
    """The questions so far."""
    return []


@pytest.fixture(params=["tcp", "unix"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, asked: list[dict[str, str]]
) -> Iterator[TcpAddress | UnixAddress]:
    """A policy service that answers by ANSWERS."""
    address: TcpAddress | UnixAddress = UnixAddress(tmp_path / "socket")
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        address = TcpAddress(*listener.getsockname())
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
    thread = threading.Thread(target=serve, args=(listener, asked))
    thread.start()
    yield address
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_each_mailbox_is_asked_for_with_the_size(
    service: TcpAddress | UnixAddress, asked: list[dict[str, str]]
) -> None:
    boxes = ["room@example.org", "full@example.org", "ok@example.org"]
    assert room(service, boxes, 1234) == Room(["full@example.org"])
    assert [question["recipient"] for question in asked] == boxes
    fields = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "recipient": boxes[0], "size": "1234"}
    assert asked[0] == fields


@pytest.mark.parametrize("who", ["defer", "nonsense", "long", "gone"])
def test_who_does_not_answer_properly_is_unknown(service: TcpAddress | UnixAddress, who: str) -> None:
    found = room(service, ["full@example.org", f"{who}@example.org", "room@example.org"], 1)
    assert found.full == ["full@example.org"]
    assert found.unknown
    assert "Dovecot" in found.unknown


def test_a_service_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    found = room(UnixAddress(tmp_path / "absent"), ["a@example.org"], 1)
    assert (found.full, found.unknown) == (
        [],
        f"Dovecot's quota-status at unix:{tmp_path}/absent: No such file or directory",
    )


def test_a_service_that_is_silent_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_status, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = room(TcpAddress(*listener.getsockname()), ["a@example.org"], 1)
    assert found.unknown is not None and "timed out" in found.unknown
