"""``milter``: messages per second through one connection, and its memory, asked in Postfix's own protocol.

Without Dovecot: what a question about a quota costs is the same for Postfix's own question at RCPT.
"""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import progress, pss
from bench.figures import Figure, median_of
from bench.ground import Ground
from bench.processes import HOST, ROOT, CannotMeasure, free_port, running
from bench.service import LISTER

PART = "milter"
ROUNDS = 5
SECONDS = 2.0
SMALL = b"A line of some sixty bytes, as people write them in letters.\r\n" * 80
LARGE = SMALL * 2_000
"""About 5 KB and 10 MB."""

LOGIN = f"box0@{LISTER.domain}"


def measure(ground: Ground) -> Iterator[Figure]:
    """Mail from elsewhere, of users without a key, with an RSA key, and with an Ed25519 key beside it."""
    data, port = ground.small_data(PART), free_port()
    environment = data.environment(free_port()) | {
        "MAILSVC_MILTER_BIND": f"{HOST}:{port}",
        "MAILSVC_QUOTA_STATUS": "off",
        "MAILSVC_LOG_FORMAT": "json",
    }
    log = data.directory.with_suffix(".log")
    with (
        running(["-m", "mailsvc", "milter"], environment, log) as process,
        _connected(port, process, log) as connection,
    ):
        yield _rate(connection, "from elsewhere, 5 KB", None, SMALL)
        yield _rate(connection, "of a user, no key, 5 KB", LOGIN, SMALL)
        _run(environment, "dkim", "on", LISTER.domain)
        yield _rate(connection, "signed with RSA, 5 KB", LOGIN, SMALL)
        _run(environment, "dkim", "off", LISTER.domain)
        _run(environment, "dkim", "add", LISTER.domain, "--algorithm", "ed25519")
        _run(environment, "dkim", "on", LISTER.domain)
        yield _rate(connection, "signed with RSA and Ed25519, 5 KB", LOGIN, SMALL)
        progress.say(f"{PART}: 10 MB")
        took = [_message(connection, LOGIN, LARGE) for _ in range(ROUNDS)]
        yield median_of(PART, "a message of 10 MB, both signatures", took, "s")
        yield Figure(PART, "memory (PSS) afterwards", pss.of_family(process.pid), "MB")


def _run(environment: Mapping[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "mailsvc", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasure(f"{' '.join(arguments)}: {done.stderr.strip()}")


def _connected(port: int, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    """A connection on which everything is agreed as with Postfix."""
    expires = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < expires:
        try:
            connection = socket.create_connection((HOST, port), timeout=30)
        except ConnectionRefusedError:
            time.sleep(0.01)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF)))
        _answer(connection)
        return connection
    raise CannotMeasure(f"the milter does not answer: {log.read_text(errors='replace')[-400:]}")


def _rate(connection: socket.socket, what: str, login: str | None, body: bytes) -> Figure:
    progress.say(f"{PART}: {what}")
    _message(connection, login, body)
    rates = []
    for _ in range(ROUNDS):
        begun, count = time.perf_counter(), 0
        while time.perf_counter() < begun + SECONDS:
            _message(connection, login, body)
            count += 1
        rates.append(count / (time.perf_counter() - begun))
    return median_of(PART, what, rates, "per second")


def _message(connection: socket.socket, login: str | None, body: bytes) -> float:
    """Seconds from MAIL to the verdict, which must be to accept."""
    begun = time.perf_counter()
    sender = login or "someone@elsewhere.example"
    macros = [_packet(b"D", b"M" + _texts("{auth_authen}", login))] if login else []
    connection.sendall(b"".join([*macros, _packet(b"M", _texts(f"<{sender}>")), _packet(b"R", _texts(f"<{LOGIN}>"))]))
    _accepted(connection)
    headers = {"From": f" {sender}", "To": f" {LOGIN}", "Subject": " Hello", "Date": " today", "Message-ID": " <1@x>"}
    connection.sendall(b"".join(_packet(b"L", _texts(name, value)) for name, value in headers.items()) + _packet(b"N"))
    for start in range(0, len(body), 65_535):
        connection.sendall(_packet(b"B", body[start : start + 65_535]))
    connection.sendall(_packet(b"E"))
    _accepted(connection)
    return time.perf_counter() - begun


def _accepted(connection: socket.socket) -> None:
    while (command := _answer(connection)) != b"c":
        if command != b"i":
            raise CannotMeasure(f"the milter answers {command!r}")


def _answer(connection: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(connection, 4), "big")
    return _exactly(connection, length)[:1]


def _exactly(connection: socket.socket, count: int) -> bytes:
    pieces: Sequence[bytes] = [b""]
    while (missing := count - sum(map(len, pieces))) > 0:
        piece = connection.recv(missing)
        if not piece:
            raise CannotMeasure("the milter hung up")
        pieces = [*pieces, piece]
    return b"".join(pieces)


def _packet(command: bytes, data: bytes = b"") -> bytes:
    return (len(data) + 1).to_bytes(4, "big") + command + data


def _texts(*values: str) -> bytes:
    return b"".join(value.encode() + b"\0" for value in values)
