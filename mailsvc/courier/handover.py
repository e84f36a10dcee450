"""Handing collected mail to the local mail server, by LMTP (RFC 2033) or SMTP (RFC 5321), a message at a time."""

import re
import select
import smtplib
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mailsvc.courier.failures import one_line
from mailsvc.courier.smtp_login import client_on
from mailsvc.courier.wire import Wire

CONNECT_SECONDS = 15.0

REPLY_SECONDS = 300.0
"""What the server may take for a message: it may have to wait for a lock, or look for viruses."""

AT_ONCE = 262_144
"""A message up to this size goes out together with its commands, where the server takes that: one round trip."""

_FULL_CODES = (452, 552)
_FULL = re.compile(r"^[245]\.2\.2\b")
_TOO_LARGE = re.compile(r"^5\.3\.4\b")


class NotNow(Exception):
    """The local server cannot take mail at the moment, or cannot be reached. The text says why."""


class MailboxFull(NotNow):
    """The mailbox is over its quota."""


class Refused(Exception):
    """The local server will never take this message. The text is its reply."""


class Handover:
    """A line to the local mail server, opened when first needed and used for one message after another.

    ``host`` and ``port``, or ``path`` of a socket; ``name`` is what we call ourselves.
    """

    def __init__(self, protocol: str, address: tuple[str, int] | Path, *, name: str) -> None:
        self._protocol = protocol
        self._address = address
        self._name = name
        self._client: Any = None
        self._used = False

    def deliver(self, recipient: str, size: int, chunks: Iterable[bytes]) -> None:
        """Returns once the server has taken the message. Raises NotNow, MailboxFull, Refused."""
        try:
            if size <= AT_ONCE and self._takes_all_at_once():
                self._send_at_once(recipient, chunks)
            else:
                self._begin(recipient, size)
                self._send(chunks)
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            raise NotNow(one_line(f"the local mail server does not answer: {error}")) from None
        finally:
            self._used = True

    def close(self) -> None:
        """Take leave, and do not wait for long."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError, smtplib.SMTPException):
                client.sock.allow(5)
                client.quit()
            client.close()

    def _begin(self, recipient: str, size: int) -> None:
        """Get as far as the message itself. Raises NotNow, MailboxFull, Refused, OSError, smtplib.SMTPException."""
        for again in (self._client is not None and self._used, False):
            client = self._connected()
            client.sock.allow(REPLY_SECONDS)
            commands = (f"MAIL FROM:<>{self._parameters(size)}", f"RCPT TO:<{recipient}>", "DATA")
            try:
                replies = _asked(client, commands)
            except (OSError, smtplib.SMTPException):
                # It may have grown tired of waiting for the next message.
                self._drop()
                if not again:
                    raise
                continue
            if replies[0][0] != 421 or not again:
                break
            self._drop()
        self._judge(replies)

    def _judge(self, replies: Sequence[tuple[int, bytes]]) -> None:
        if [code for code, _ in replies[1:]] in ([250, 354], [251, 354]) and replies[0][0] == 250:
            return
        if len(replies) == 3 and replies[2][0] == 354:
            # It waits for a message that nobody gets.
            self._drop()
        else:
            self._reset()
        raise _refusal(replies)

    def _send(self, chunks: Iterable[bytes]) -> None:
        for chunk in _stuffed(chunks):
            self._write(chunk)
        self._client.sock.allow(REPLY_SECONDS)
        code, said = self._client.getreply()
        if code != 250:
            raise _judged(code, said)

    def _takes_all_at_once(self) -> bool:
        """By BDAT (RFC 3030) behind MAIL and RCPT (RFC 2920). Raises NotNow, OSError, smtplib.SMTPException."""
        # To SMTP servers DATA is the usual way: what they make of lone line feeds is known for that only.
        if self._protocol != "lmtp":
            return False
        if self._client is not None and _has_something(self._client.sock):
            # It has hung up, or is about to: it was not asked anything.
            self._drop()
        client = self._connected()
        return bool(client.has_extn("chunking") and client.has_extn("pipelining"))

    def _send_at_once(self, recipient: str, chunks: Iterable[bytes]) -> None:
        """The whole message and its commands in one go. It is not sent again here: the server may have taken it."""
        message = b"".join(chunks)
        if not message.endswith(b"\r\n"):
            message += b"\r\n"
        size = len(message)
        commands = f"MAIL FROM:<>{self._parameters(size)}\r\nRCPT TO:<{recipient}>\r\nBDAT {size} LAST\r\n"
        self._write(commands.encode("ascii") + message)
        replies = []
        for _ in ("MAIL", "RCPT"):
            replies.append(self._client.getreply())
            if replies[-1][0] not in (250, 251):
                # How it goes on with a message that it was not to get differs from server to server.
                self._drop()
                raise _refusal(replies)
        code, said = self._client.getreply()
        if code != 250:
            self._reset()
            raise _judged(code, said)

    def _write(self, data: bytes) -> None:
        wire = self._client.sock
        wire.allow(REPLY_SECONDS)
        wire.sendall(data)

    def _parameters(self, size: int) -> str:
        client = self._client
        announced = f" SIZE={size}" if client.has_extn("size") else ""
        return announced + (" BODY=8BITMIME" if client.has_extn("8bitmime") else "")

    def _reset(self) -> None:
        if self._client is None:
            return
        with suppress(OSError, smtplib.SMTPException):
            code, _ = self._client.docmd("RSET")
            if code == 250:
                return
        self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Any:
        if self._client is None:
            wire = Wire(self._dialled(), 0)
            wire.allow(CONNECT_SECONDS)
            kind = smtplib.LMTP if self._protocol == "lmtp" else smtplib.SMTP
            client = client_on(wire, self._name, kind)
            try:
                for code, said in (client.getreply(), client.ehlo()):
                    if code not in (220, 250):
                        raise NotNow(_line(code, said))
            except BaseException:
                wire.close()
                raise
            self._client, self._used = client, False
        return self._client

    def _dialled(self) -> socket.socket:
        if isinstance(self._address, Path):
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.settimeout(CONNECT_SECONDS)
                sock.connect(str(self._address))
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection(self._address, CONNECT_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def _has_something(wire: Wire) -> bool:
    """Whether the server has sent something, or its end."""
    poll = select.poll()
    poll.register(wire.sock, select.POLLIN)
    return wire.has_more or bool(poll.poll(0))


def _asked(client: Any, commands: Sequence[str]) -> list[tuple[int, bytes]]:
    """The replies to ``commands``, sent together if the server takes that (RFC 2920), else up to the first refusal."""
    if client.has_extn("pipelining"):
        client.send("".join(f"{command}\r\n" for command in commands))
        return [client.getreply() for _ in commands]
    replies: list[tuple[int, bytes]] = []
    for command in commands:
        replies.append(client.docmd(command))
        if replies[-1][0] not in (250, 251, 354):
            break
    return replies


def _stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes with their final dot, every line that begins with a dot given one more.

    A bare line feed is taken for a line's end too: some servers do so, and would else find the end of the message, and
    commands after it, within a foreign message. Servers that do not just keep one dot too many.
    """
    end, held = b"\r\n", b""
    for chunk in filter(None, chunks):
        if held:
            yield held
        held = chunk.replace(b"\n.", b"\n..")
        if end.endswith(b"\n") and chunk.startswith(b"."):
            held = b"." + held
        end = (end + chunk)[-2:] if len(chunk) < 2 else chunk[-2:]
    yield held + (b".\r\n" if end == b"\r\n" else b"\r\n.\r\n")


def _judged(code: int, said: bytes) -> NotNow | Refused:
    words = said.decode("utf-8", "replace")
    if code >= 400 and not _TOO_LARGE.match(words) and (code in _FULL_CODES or _FULL.match(words)):
        return MailboxFull(_line(code, said))
    return Refused(_line(code, said)) if 500 <= code <= 599 else NotNow(_line(code, said))


def _refusal(replies: Sequence[tuple[int, bytes]]) -> NotNow | Refused:
    """What the first negative one of the replies to MAIL, RCPT, and DATA means."""
    code, said = replies[0]
    if code != 250:
        # No word about the message yet, unless about its size.
        return _judged(code, said) if _about_size(code, said) or code < 500 else NotNow(_line(code, said))
    return _judged(*next(reply for reply in replies[1:] if reply[0] not in (250, 251, 354)))


def _about_size(code: int, said: bytes) -> bool:
    return code in _FULL_CODES or bool(_TOO_LARGE.match(said.decode("utf-8", "replace")))


def _line(code: int, said: bytes) -> str:
    return one_line(f"{code} {said.decode('utf-8', 'replace')}")
