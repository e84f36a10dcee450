"""One message on its way in, as far as the filter needs it, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailsvc.milter.bodies import BodyHash

HEADER_BYTES = 1 << 20
"""All headers of one message together. What is beyond is counted but not kept, and such a message is not signed."""


@dataclass(slots=True)
class Message:
    """``login`` is who authenticated, or None for mail from elsewhere. Header values begin with the blank after the
    colon. ``size`` is in bytes, with CRLF line ends; ``announced`` is what the client said it would be, 0 if nothing.
    ``first_has_room`` is whether the first recipient has room for that, None while nobody has asked."""

    login: str | None
    announced: int = 0
    first_has_room: bool | None = None
    queue_id: str = "-"
    recipients: list[str] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: BodyHash = field(default_factory=BodyHash)
    size: int = 0
    header_bytes: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether it has more headers than were kept."""
        return self.header_bytes > HEADER_BYTES

    def add_header(self, name: bytes, value: bytes) -> None:
        """Take the next header."""
        # Lines end with LF here and with CRLF in the message.
        length = len(name) + 1 + len(value) + value.count(b"\n") + 2
        self.size += length
        self.header_bytes += length
        if not self.is_cut:
            self.headers.append((name, value))

    def add_body(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        self.size += len(piece)
        if self.login is not None:
            self.body.update(piece)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reply`` refuses the message with these words for the SMTP client; None accepts it.

    ``signatures`` are put before its headers, and the Authentication-Results headers whose ordinals are in ``forged``
    are taken out.
    """

    reply: str | None = None
    signatures: Sequence[bytes] = ()
    forged: Sequence[int] = ()
