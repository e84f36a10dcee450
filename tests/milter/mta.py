"""The other side of the milter protocol, byte by byte, for what a real Postfix would do only by accident."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mailsvc.milter import wire

OFFER = struct.pack("!III", 6, 0x1FF, 0x1FFFFF)
"""What Postfix 3.7 offers."""

LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Mta:
    """A connection to the milter."""

    connection: socket.socket

    def send(self, *packets: tuple[bytes, bytes]) -> None:
        """Commands with their data, in one go."""
        self.connection.sendall(b"".join(wire.packet(*one) for one in packets))

    def receive(self) -> tuple[bytes, bytes]:
        """The next answer."""
        length = int.from_bytes(self._read(4), "big")
        packet = self._read(length)
        return packet[:1], packet[1:]

    def negotiated(self, offer: bytes = OFFER) -> tuple[int, int, int]:
        """What the milter agrees to: version, actions, steps."""
        self.send((wire.NEGOTIATE, offer))
        command, data = self.receive()
        assert command == wire.NEGOTIATE
        version, actions, steps = struct.unpack("!III", data)
        return version, actions, steps

    def begin(self, *recipients: str, login: str | None = None, parameters: tuple[str, ...] = ()) -> None:
        """The envelope of a message, every recipient of which must be taken."""
        if login is not None:
            self.send((wire.MACROS, b"M" + texts("{auth_type}", "PLAIN", "{auth_authen}", login)))
        self.send((wire.MAIL, texts("<someone@elsewhere.test>", *parameters)))
        for recipient in recipients:
            assert self.recipient(recipient) == (wire.CONTINUE, b"")

    def recipient(self, address: str) -> tuple[bytes, bytes]:
        """The answer to one recipient."""
        self.send((wire.RECIPIENT, texts(f"<{address}>")))
        return self.receive()

    def end(
        self, *headers: tuple[str, str], body: bytes = b"Hello\r\n", queue_id: str = "4ABC"
    ) -> Iterator[tuple[bytes, bytes]]:
        """The content of a message; gives every answer to its end, the verdict last."""
        self.send(
            *((wire.HEADER, texts(name, value)) for name, value in headers),
            (wire.END_OF_HEADERS, b""),
            (wire.BODY, body),
            (wire.MACROS, b"E" + texts("i", queue_id)),
            (wire.END_OF_MESSAGE, b""),
        )
        while True:
            answer = self.receive()
            yield answer
            if answer[0] in (wire.CONTINUE, wire.REPLY):
                return

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.connection.recv(count - len(data))
            if not piece:
                raise EOFError(data)
            data += piece
        return data


def connected(port: int) -> Mta:
    """A new connection."""
    return Mta(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))


def texts(*values: str) -> bytes:
    """Zero-terminated."""
    return b"".join(value.encode() + b"\0" for value in values)
