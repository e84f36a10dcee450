"""A session with a foreign POP3 server (RFC 1939): it reads, and deletes nothing there."""

import base64
import poplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mailsvc.core.mail_accounts import CRAM_MD5, STARTTLS, MailServer
from mailsvc.courier import sasl
from mailsvc.courier.failures import Failure, no_mechanism, refused, reply_in, starttls_missing, telling
from mailsvc.courier.links import Links
from mailsvc.courier.wire import Wire

CHUNK = 262_144
"""Bytes that must arrive within the time limit."""

MOST_LISTED = 2_000_000
"""Messages that one mailbox may have; no honest server lists more."""

_LONGEST_ID = 1_000


class _Line:
    """A Wire as poplib's socket: it asks that for a file, and the file is the Wire again."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def makefile(self, _mode: str) -> Wire:
        return self._wire

    def sendall(self, data: bytes) -> None:
        self._wire.sendall(data)

    def shutdown(self, _how: int) -> None:
        pass

    def close(self) -> None:
        self._wire.close()


class _Client(poplib.POP3):
    """The standard library's, on a line that is there already."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        super().__init__("")

    def _create_socket(self, _timeout: float) -> Any:
        return _Line(self.wire)

    def ask(self, command: str) -> str:
        """The reply to a command, without its mark. Raises poplib.error_proto, EOFError."""
        self.wire.sendall(command.encode() + b"\r\n")
        return self.reply()

    def reply(self) -> str:
        line = self.wire.readline()
        if not line:
            raise EOFError
        if not line.startswith(b"+"):
            raise poplib.error_proto(line.strip())
        return line[1:].removeprefix(b"OK").strip().decode("utf-8", "replace")


class Pop3Session:
    """A session that is logged in. Every method raises Failure, also when the server takes too long."""

    def __init__(self, client: _Client, server: MailServer, seconds: float) -> None:
        self._client = client
        self._server = server
        self._seconds = seconds

    def sizes(self) -> dict[int, int]:
        """The messages by number, with their sizes in bytes."""
        with self._asking():
            self._client.ask("LIST")
            pairs = (line.split() for line in self._lines())
            return {int(pair[0]): int(pair[1]) for pair in pairs if len(pair) > 1}

    def ids(self) -> dict[int, bytes] | None:
        """The unique ids by message number; None when the server does not know any."""
        with self._asking():
            try:
                self._client.ask("UIDL")
            except poplib.error_proto:
                return None
            pairs = (line.split(None, 1) for line in self._lines())
            return {int(pair[0]): pair[1][:_LONGEST_ID] for pair in pairs if len(pair) > 1}

    def message(self, number: int) -> Iterator[bytes]:
        """A message in chunks, with CRLF for line ends; nothing at all if the server does not give it."""
        with self._asking():
            try:
                self._client.ask(f"RETR {number}")
            except poplib.error_proto:
                return
        yield from self._text()

    def head(self, number: int) -> bytes | None:
        """The header of a message, cut at CHUNK bytes; None if the server cannot show it alone."""
        with self._asking():
            try:
                self._client.ask(f"TOP {number} 0")
            except poplib.error_proto:
                return None
        chunks = list(self._text())
        return b"".join(chunks)[:CHUNK]

    def abandon(self) -> None:
        """Hang up: there is nothing to wait for."""
        with suppress(OSError):
            self._client.wire.close()

    def close(self) -> None:
        """Take leave, and do not wait for long."""
        with suppress(Failure, OSError, EOFError, poplib.error_proto):
            self._client.wire.allow(min(self._seconds, 5))
            self._client.ask("QUIT")
        with suppress(OSError):
            self._client.wire.close()

    def _lines(self) -> Iterator[bytes]:
        for _ in range(MOST_LISTED):
            line = self._client.wire.readline()
            if not line:
                raise EOFError
            if line.rstrip(b"\r\n") == b".":
                return
            yield line.strip()
        raise Failure("The server lists too many messages.")

    def _text(self) -> Iterator[bytes]:
        """Lines up to the final dot, the doubled dots undone (RFC 1939, section 3); a long line may come in pieces."""
        begins: bool | None = True
        while begins is not None:
            chunk = bytearray()
            with self._asking():
                while begins is not None and len(chunk) < CHUNK:
                    begins = _take(self._client.wire, chunk, begins)
            yield bytes(chunk)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._client.wire.allow(self._seconds)
        with telling(self._server, "Fetch"):
            yield


def _take(wire: Wire, chunk: bytearray, begins: bool) -> bool | None:
    """Add the next piece of text; whether a line begins after it, None if the text has ended."""
    piece = wire.piece()
    if not piece:
        raise EOFError
    if begins and piece.startswith(b"."):
        if piece in (b".\r\n", b".\n"):
            return None
        piece = piece[1:]
    chunk += piece
    return piece.endswith(b"\n")


def log_in(links: Links, server: MailServer, password: str) -> Pop3Session:
    """A session with ``server``. Raises Failure."""
    with telling(server, "Connect", password):
        client, offered = _connected(links, server)
    try:
        client.wire.allow(links.login_seconds)
        with telling(server, "Authenticate", password):
            _authenticate(client, server, password, offered)
        client.wire.most = None
        return Pop3Session(client, server, links.login_seconds)
    except BaseException:
        client.wire.close()
        raise


def _connected(links: Links, server: MailServer) -> tuple[_Client, dict[str, list[str]]]:
    wire = links.open(server)
    try:
        client = _Client(wire)
        offered = _capabilities(client)
        if server.encryption == STARTTLS:
            if "STLS" not in offered:
                raise starttls_missing(server.protocol)
            client.ask("STLS")
            links.secure(wire, server)
            offered = _capabilities(client)
    except BaseException:
        wire.close()
        raise
    return client, offered


def _capabilities(client: _Client) -> dict[str, list[str]]:
    try:
        found = client.capa()
    except poplib.error_proto:
        return {}
    return {name.upper(): [word.upper() for word in words] for name, words in found.items()}


def _authenticate(client: _Client, server: MailServer, password: str, offered: dict[str, list[str]]) -> None:
    mechanism = sasl.mechanism(offered.get("SASL", ()), server.auth)
    try:
        if mechanism is not None:
            _exchange(client, mechanism, server.login, password)
        elif server.auth == CRAM_MD5:
            raise no_mechanism()
        else:
            client.ask(f"USER {server.login}")
            client.ask(f"PASS {password}")
    except poplib.error_proto as error:
        raise refused(reply_in(error)) from None


def _exchange(client: _Client, mechanism: str, login: str, password: str) -> None:
    answer = sasl.answers(mechanism, login, password)
    client.wire.sendall(f"AUTH {mechanism}\r\n".encode())
    for _ in range(4):
        line = client.wire.readline()
        if not line:
            raise EOFError
        if line.startswith(b"+OK"):
            return
        if not line.startswith(b"+"):
            raise poplib.error_proto(line.strip())
        challenge = base64.b64decode(line[1:].strip() + b"===")
        client.wire.sendall(base64.b64encode(answer(challenge)) + b"\r\n")
    raise poplib.error_proto(b"-ERR the login does not end")
