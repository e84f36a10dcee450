"""A fetched message on its way: in memory while it is small, in a temporary file when it is not."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from types import TracebackType

IN_MEMORY = 1_048_576
CHUNK = 262_144

HEAD = 262_144
"""Bytes of a message's beginning within which its header is looked for."""


class TooLarge(Exception):
    """There is more of the message than may be collected."""


class Spool:
    """The bytes of one message, their number and their SHA-256."""

    def __init__(self, chunks: Iterable[bytes], most: int) -> None:
        """Takes all of ``chunks``. Raises TooLarge beyond ``most`` bytes, and what they raise."""
        self.size = 0
        digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed by close()
        try:
            for chunk in chunks:
                self.size += len(chunk)
                if self.size > most:
                    raise TooLarge
                digest.update(chunk)
                self._file.write(chunk)
        except BaseException:
            self._file.close()
            raise
        self.digest = digest.digest()

    def chunks(self) -> Iterator[bytes]:
        """The bytes again, from the beginning."""
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            yield chunk

    def head(self) -> Message:
        """The header."""
        return header(self._beginning())

    def may_have(self, name: str) -> bool:
        """False if the header has no field ``name`` for sure; much cheaper than to look there."""
        return name.lower().encode() in self._beginning().lower()

    def _beginning(self) -> bytes:
        self._file.seek(0)
        return self._file.read(HEAD)

    def close(self) -> None:
        """Forget it."""
        self._file.close()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def header(text: bytes) -> Message:
    """The header that ``text`` begins with."""
    return BytesHeaderParser().parsebytes(text)


def date_of(head: Message) -> datetime | None:
    """The moment that the Date header names, or None if it names none."""
    try:
        moment = parsedate_to_datetime(str(head["Date"]))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def received_at(internal_date: str) -> datetime | None:
    """The moment of an IMAP INTERNALDATE (RFC 3501, ``date-time``), or None."""
    try:
        return datetime.strptime(internal_date.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
