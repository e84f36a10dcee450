"""A connection to a foreign mail server that waits for nothing beyond its deadline, and holds no more than it must.

A server that sends a byte now and then would hold a thread for ever if every single read had its time limit only.
"""

import socket
import ssl
import time
from types import TracebackType

LINE = 65_536
"""The longest line that is taken from a server unless more is asked for."""

_CHUNK = 65_536


class LineTooLong(OSError):
    """The server sent a line of unreasonable length."""


class TooMuch(OSError):
    """The server sent more than any login has use for."""


class Wire:
    """Reads lines and bytes from ``sock``, and writes; each raises TimeoutError once ``deadline`` has passed.

    ``deadline`` is a moment of time.monotonic(); ``most`` are the bytes that may still come, None for any number. Fits
    where the standard library's clients expect a file.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.most: int | None = None
        self._held = bytearray()

    def allow(self, seconds: float) -> None:
        """From now on everything must be done within ``seconds``."""
        self.deadline = time.monotonic() + seconds

    @property
    def has_more(self) -> bool:
        """Whether there is something to read without waiting for the network."""
        return bool(self._held) or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0)

    @property
    def has_line(self) -> bool:
        """Whether a whole line has arrived already."""
        return b"\n" in self._held

    def readline(self, limit: int = LINE) -> bytes:
        """Up to and with the next line feed; what there is at the end of the stream. Raises LineTooLong."""
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            if searched >= limit:
                raise LineTooLong("the server sent a line that is too long")
            if not self._fill():
                end = len(self._held) - 1
                break
        return self._take(end + 1)

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end of the stream."""
        while len(self._held) < size and self._fill():
            pass
        return self._take(min(size, len(self._held)))

    def piece(self, most: int = LINE) -> bytes:
        """As readline, but of a line longer than ``most`` the next ``most`` bytes."""
        while (end := self._held.find(b"\n", 0, most)) < 0 and len(self._held) < most:
            if not self._fill():
                break
        return self._take(end + 1 if end >= 0 else min(most, len(self._held)))

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        self.sock.settimeout(self._left())
        self.sock.sendall(data)

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on under TLS. Raises ssl.SSLError, also when the server has sent on in clear (it would be injected)."""
        if self._held:
            raise ssl.SSLError("the server sent data before the TLS handshake")
        self.sock.settimeout(self._left())
        self.sock = context.wrap_socket(self.sock, server_hostname=host)

    def close(self) -> None:
        """Let go of the connection."""
        self.sock.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _fill(self) -> bool:
        self.sock.settimeout(self._left())
        data = self.sock.recv(_CHUNK)
        if self.most is not None:
            # The clients of the standard library keep all lines of an answer, however many there are.
            self.most -= len(data)
            if self.most < 0:
                raise TooMuch("the server sends more than was asked for")
        self._held += data
        return bool(data)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long")
        return left
