"""Whom the service connects to, and whom never, whatever a name resolves to."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import config
from mailsvc.courier.targets import LOOKUPS, Denied, Targets

TARGETS = Targets(config.load({}).smtp_deny_networks)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name resolve to ``addresses``; the names that were asked for are returned as they come."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        ends = [(a, port, 0, 0) if ":" in a else (a, port) for a in addresses]
        return [(f, socket.SOCK_STREAM, 6, "", end) for f, end in zip(families, ends, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "::ffff:0.0.0.0",
    ],
)  # fmt: skip
def test_forbidden_addresses(address: str) -> None:
    assert TARGETS.is_denied(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "8.8.8.8", "2001:db8::1"]
)
def test_loopback_private_and_public_addresses_are_allowed(address: str) -> None:
    assert not TARGETS.is_denied(address)


def test_a_list_of_ones_own_replaces_the_default() -> None:
    own = Targets(config.load({"MAILSVC_SMTP_DENY_NETWORKS": "10.0.0.0/8, 127.0.0.0/8"}).smtp_deny_networks)
    assert own.is_denied("127.0.0.1") and own.is_denied("::ffff:10.1.2.3")
    assert not own.is_denied("169.254.169.254")


def test_the_address_that_was_checked_is_dialled(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    asked = answering(monkeypatch, "127.0.0.1")
    with TARGETS.connect("mx.example.com", listener.getsockname()[1], 5) as sock:
        assert sock.getpeername() == listener.getsockname()
    assert asked == ["mx.example.com"]


def test_denied_addresses_are_skipped(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    answering(monkeypatch, "169.254.169.254", "127.0.0.1")
    with TARGETS.connect("mx.example.com", listener.getsockname()[1], 5) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


def test_nothing_is_dialled_when_all_are_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "169.254.169.254", "::ffff:169.254.169.254")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("dialled"))
    with pytest.raises(Denied):
        TARGETS.connect("mx.example.com", 25, 5)


def test_a_numeric_spelling_of_a_forbidden_address_is_forbidden() -> None:
    with pytest.raises(Denied):
        TARGETS.connect("2852039166", 80, 5)


def test_a_refused_connection_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        TARGETS.connect("127.0.0.1", port, 5)
    assert caught.value.filename == f"127.0.0.1:{port}"


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 64 + ".example", ".", "exa mple", "\udcff.example"])
def test_a_name_without_address(name: str) -> None:
    with pytest.raises(OSError):
        TARGETS.connect(name, 25, 5)


def test_what_is_too_long_for_a_name_is_not_looked_up(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    asked = answering(monkeypatch, "127.0.0.1")
    for name in ("é" * 256, "é." * 300_000):
        with pytest.raises(socket.gaierror):
            TARGETS.connect(name, listener.getsockname()[1], 5)
    assert asked == []


def test_a_resolver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(30))
    with pytest.raises(TimeoutError):
        TARGETS.connect("mx.example.com", 25, 0.05)
    released.set()


def test_look_ups_that_were_given_up_are_counted(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    targets, begun, released = Targets(()), threading.Semaphore(0), threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        begun.release()
        released.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    for _ in range(LOOKUPS + 8):
        with pytest.raises(TimeoutError):
            targets.connect("mx.example.com", port, 0.01)
    assert all(begun.acquire(timeout=60) for _ in range(LOOKUPS)) and not begun.acquire(blocking=False)
    released.set()
    targets.connect("mx.example.com", port, 60).close()
