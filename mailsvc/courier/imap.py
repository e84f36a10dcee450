"""A session with a foreign IMAP4rev1 server (RFC 3501): it reads, and leaves no trace there."""

import imaplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mailsvc.core.mail_accounts import CRAM_MD5, STARTTLS, MailServer
from mailsvc.courier import sasl
from mailsvc.courier.failures import Failure, no_mechanism, refused, reply_in, starttls_missing, telling
from mailsvc.courier.links import Links
from mailsvc.courier.replies import quoted
from mailsvc.courier.wire import Wire

MEBIBYTE = 1_048_576

CHUNK = MEBIBYTE // 2
"""Bytes of a message that are asked for at once: each must arrive within the time limit of a command."""

BUDGET = 8 * MEBIBYTE
"""Bytes that the answer to one command may have; no honest one has."""

READY_SECONDS = 0.5
"""How long one waits for a line that seems to be there."""

_IDLE_TAG = b"mailsvc-idle"

_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_INTERNAL = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"')
_EXISTS = re.compile(rb"\* \d+ EXISTS\b", re.IGNORECASE)


class _Client(imaplib.IMAP4):
    """The standard library's, on a line that is there already."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.budget = BUDGET
        super().__init__()

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        self.host, self.port, self.sock = host, port, self.wire.sock

    def read(self, size: int) -> bytes:
        self._spend(size)
        data = self.wire.read(size)
        if len(data) < size:
            raise self.abort("socket error: EOF")
        return data

    def readline(self) -> bytes:
        line = self.wire.readline(self.budget)
        self._spend(len(line))
        return line

    def send(self, data: bytes) -> None:  # type: ignore[override]
        self.wire.sendall(data)

    def shutdown(self) -> None:
        self.wire.close()

    def _spend(self, size: int) -> None:
        self.budget -= size
        if self.budget < 0:
            raise self.abort("the server sends more than was asked for")

    def _log(self, line: str) -> None:
        """The standard library's would keep the latest lines, and passwords with them."""


@dataclass(frozen=True, slots=True)
class Folder:
    """INBOX as it was found. ``next_uid`` is 1 more than the highest that was ever given out, None if not told."""

    uid_validity: int
    next_uid: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """What is known of a message before it is fetched. ``date`` is its header line, ``received`` its INTERNALDATE."""

    uid: int
    size: int
    date: bytes
    received: str


class ImapSession:
    """A session that is logged in. Every method raises Failure, also when the server takes too long."""

    def __init__(self, client: _Client, server: MailServer, seconds: float) -> None:
        self._client = client
        self._server = server
        self._seconds = seconds
        self.idles = False
        self._there = 0

    def examine(self) -> Folder:
        """Open INBOX, to read only."""
        with self._asking():
            self._demand(self._client.select("INBOX", readonly=True))
            self._there = self._number("EXISTS") or 0
            validity = self._number("UIDVALIDITY")
            return Folder(validity or 0, self._number("UIDNEXT"))

    def search(self, first: int, last: int | None) -> list[int]:
        """The UIDs from ``first`` to ``last`` (None: to the highest), ascending."""
        with self._asking():
            found = self._demand(self._client.uid("SEARCH", "UID", f"{first}:{last or '*'}"))
        uids = {int(word) for line in found if line for word in line.split() if word.isdigit()}
        # "n:*" always means the last message too (RFC 3501, section 6.4.8).
        return sorted(uid for uid in uids if uid >= first and (last is None or uid <= last))

    def listed(self, uids: Sequence[int], *, with_date: bool) -> list[Listed]:
        """What is known of these messages, those that are still there, ascending."""
        what = "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS (DATE)])" if with_date else "(UID RFC822.SIZE)"
        with self._asking():
            found = self._demand(self._client.uid("FETCH", ",".join(map(str, uids)), what))
        wanted = set(uids)
        rows = {row.uid: row for row in map(_listed, _messages(found)) if row is not None and row.uid in wanted}
        return [rows[uid] for uid in sorted(rows)]

    def small(self, uids: Sequence[int]) -> dict[int, bytes]:
        """These messages whole, those that the server gives; together they must be well below BUDGET."""
        with self._asking():
            found = self._given(",".join(map(str, uids)), "(UID BODY.PEEK[])")
        wanted, bodies = set(uids), {}
        for text, literal in _messages(found):
            match = _UID.search(text)
            if match and literal is not None and int(match[1]) in wanted:
                bodies[int(match[1])] = literal
        return bodies

    def large(self, uid: int) -> Iterator[bytes]:
        """A message in chunks; nothing at all if the server does not give it, as one that is not there any more."""
        start = 0
        while True:
            with self._asking():
                found = self._given(str(uid), f"(UID BODY.PEEK[]<{start}.{CHUNK}>)", begun=start > 0)
            chunk = next((literal for _, literal in _messages(found) if literal is not None), b"")
            if chunk:
                yield chunk
            if len(chunk) < CHUNK:
                return
            start += len(chunk)

    def idle(self) -> bool:
        """Begin to wait for news (RFC 2177). True if some came along already, or since `examine`."""
        # A server may say so in the answer to any command, and does not say it again.
        news = (self._number("EXISTS") or 0) > self._there
        with self._asking():
            self._client.send(_IDLE_TAG + b" IDLE\r\n")
            while not (line := self._line()).startswith(b"+"):
                if line.startswith(_IDLE_TAG):
                    raise refused(line.removeprefix(_IDLE_TAG).strip())
                news = news or bool(_EXISTS.match(line))
        return news

    def news(self) -> bool:
        """While idling, with something to read: whether new mail is announced in it."""
        news = False
        with self._asking():
            self._client.wire.allow(READY_SECONDS)
            while True:
                try:
                    line = self._line()
                except TimeoutError:
                    # Half a line, or something of TLS's own: the rest will come, and what there is stays held.
                    return news
                if line.upper().startswith(b"* BYE"):
                    raise Failure("The server ended the session.")
                news = news or bool(_EXISTS.match(line))
                if not self._client.wire.has_more:
                    return news

    def done(self) -> None:
        """End the waiting."""
        with self._asking():
            self._client.send(b"DONE\r\n")
            while not self._line().startswith(_IDLE_TAG):
                pass

    @property
    def wire(self) -> Wire:
        """The line, to be watched while idling."""
        return self._client.wire

    def abandon(self) -> None:
        """Hang up: there is nothing to wait for."""
        with suppress(OSError):
            self._client.wire.close()

    def close(self) -> None:
        """Log out, and do not wait for long."""
        with suppress(Failure, OSError, imaplib.IMAP4.error):
            self._client.wire.allow(min(self._seconds, 5))
            self._client.logout()
        with suppress(OSError):
            self._client.wire.close()

    def _line(self) -> bytes:
        line = self._client.readline()
        if not line:
            raise self._client.abort("socket error: EOF")
        return line

    def _demand(self, reply: tuple[str, list[Any]]) -> list[Any]:
        status, data = reply
        if status != "OK":
            raise refused(b" ".join(part for part in data if isinstance(part, bytes)))
        return data

    def _given(self, uids: str, what: str, *, begun: bool = False) -> list[Any]:
        """The answer to FETCH. With a NO it may be that of some messages only (RFC 3501, section 6.4.5); of a message
        that is ``begun`` it is a failure.
        """
        status, data = self._client.uid("FETCH", uids, what)
        if status != "NO" or begun:
            return self._demand((status, data))
        return self._client.response("FETCH")[1]

    def _number(self, name: str) -> int | None:
        _, data = self._client.response(name)
        text = data[-1] if data else None
        return int(text) if isinstance(text, bytes) and text.isdigit() else None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._client.wire.allow(self._seconds)
        self._client.budget = BUDGET
        with telling(self._server, "Fetch"):
            yield


def log_in(links: Links, server: MailServer, password: str) -> ImapSession:
    """A session with ``server``. Raises Failure."""
    with telling(server, "Connect", password):
        client = _connected(links, server)
    try:
        client.wire.allow(links.login_seconds)
        with telling(server, "Authenticate", password):
            _authenticate(client, server, password)
            session = ImapSession(client, server, links.login_seconds)
            session.idles = "IDLE" in _capabilities(client)
        client.wire.most = None
        return session
    except BaseException:
        client.wire.close()
        raise


def _connected(links: Links, server: MailServer) -> _Client:
    client = _Client(links.open(server))
    try:
        if server.encryption == STARTTLS:
            _start_tls(client, links, server)
    except BaseException:
        client.wire.close()
        raise
    return client


def _start_tls(client: _Client, links: Links, server: MailServer) -> None:
    if "STARTTLS" not in client.capabilities:
        raise starttls_missing(server.protocol)
    status, said = client.xatom("STARTTLS")
    if status != "OK":
        raise refused(said[-1] or b"")
    links.secure(client.wire, server)
    client.sock = client.wire.sock
    client.capabilities = _capabilities(client)


def _capabilities(client: _Client) -> tuple[str, ...]:
    _, said = client.capability()
    return tuple((said[-1] or b"").decode("ascii", "replace").upper().split())


def _authenticate(client: _Client, server: MailServer, password: str) -> None:
    offered = {name.removeprefix("AUTH=") for name in client.capabilities if name.startswith("AUTH=")}
    mechanism = sasl.mechanism(offered, server.auth)
    try:
        if mechanism is not None:
            client.authenticate(mechanism, sasl.answers(mechanism, server.login, password))
        elif server.auth == CRAM_MD5 or "LOGINDISABLED" in client.capabilities:
            raise no_mechanism()
        else:
            _log_in_plainly(client, server.login, password)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise refused(reply_in(error)) from None


def _log_in_plainly(client: _Client, login: str, password: str) -> None:
    status, said = client.xatom("LOGIN", _quoted(login), _quoted(password))
    if status != "OK":
        raise refused(said[-1] or b"")
    client.state = "AUTH"


def _quoted(text: str) -> Any:
    return f'"{quoted(text)}"'.encode()


def _messages(found: Sequence[Any]) -> Iterator[tuple[bytes, bytes | None]]:
    """The messages of a FETCH answer, each as its text and its literal: a server may put its items in any order."""
    text, literal = b"", None
    for part in found:
        if isinstance(part, tuple):
            if literal is not None or _begins(part[0]):
                if text:
                    yield text, literal
                text, literal = b"", None
            text += part[0]
            literal = part[1]
        elif isinstance(part, bytes):
            if _begins(part):
                if text:
                    yield text, literal
                text, literal = b"", None
            text += b" " + part
    if text:
        yield text, literal


def _begins(text: bytes) -> bool:
    return re.match(rb"\d+ \(", text) is not None


def _listed(message: tuple[bytes, bytes | None]) -> Listed | None:
    text, literal = message
    uid, size, received = _UID.search(text), _SIZE.search(text), _INTERNAL.search(text)
    if uid is None:
        return None
    # Without a size it may be of any.
    octets = int(size[1]) if size else CHUNK + 1
    return Listed(int(uid[1]), octets, literal or b"", received[1].decode("ascii", "replace") if received else "")
