"""A connection on which both sides speak in lines, with a bound on everything the other side says and on how long it
takes: each single time limit can be kept by a server that sends a byte now and then, the total cannot.
"""

import socket
import time
from contextlib import suppress

LINE_BYTES = 8192

PIECE_BYTES = 16 * 1024
"""What is sent at once: under TLS a time limit is one record's (RFC 8446, section 5.1)."""


class ConnectionLost(Exception):
    """The other side has gone, or says what is no line. ``str()`` is the reason in short words."""


class Lines:
    """Lines over ``sock``, until ``deadline`` (of time.monotonic) at the latest."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self._buffer = bytearray()

    @property
    def has_unread(self) -> bool:
        """Whether the other side has said more than was read."""
        return bool(self._buffer)

    def until(self, seconds: float) -> float:
        """The moment ``seconds`` from now, or the deadline if that comes first."""
        return min(self.deadline, time.monotonic() + seconds)

    def limit(self, moment: float) -> None:
        """Let the next operation on the socket end by ``moment``. Raises TimeoutError if it has come already."""
        left = moment - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)

    def read(self, moment: float) -> bytes:
        """The next line without its end. Raises TimeoutError, ConnectionLost."""
        begin = 0
        while (end := self._buffer.find(b"\n", begin)) < 0:
            begin = len(self._buffer)
            if begin > LINE_BYTES:
                raise ConnectionLost("a line without end")
            self.limit(moment)
            received = self._received()
            if not received:
                raise ConnectionLost("connection closed")
            self._buffer += received
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def _received(self) -> bytes:
        try:
            return self.sock.recv(LINE_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(_reason(error)) from None

    def write(self, data: bytes, moment: float) -> None:
        """Send ``data`` as it is. Raises TimeoutError, ConnectionLost."""
        try:
            for begin in range(0, len(data), PIECE_BYTES):
                self.limit(moment)
                self.sock.sendall(data[begin : begin + PIECE_BYTES])
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(_reason(error)) from None

    def close(self) -> None:
        """Let go of the connection."""
        with suppress(OSError):
            self.sock.close()


def _reason(error: OSError) -> str:
    return error.strerror or "connection closed"
