"""TXT records as values: how a text is cut into strings and how a zone file writes it (RFC 1035, sections 3.3.14
and 5.1)."""

import re
from dataclasses import dataclass
from typing import Self

from mailsvc.core.refusals import BadInput

STRING_BYTES = 255
"""The most one character-string of a TXT record can hold (RFC 1035, section 3.3)."""

DEFAULT_TTL = 300
"""Seconds. Short, because a switch that was turned off should be seen to be off within minutes."""

# What can stand between quotes in a zone file without an escape. SPF, DKIM and DMARC texts need nothing else.
_PLAIN = re.compile(r"[ !#-\[\]-~]*")
_QUOTED = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class TxtRecord:
    """One TXT record. ``name`` is a full name without the trailing dot, ``zone`` the domain it belongs to, ``ttl``
    seconds.

    ``value`` is the whole text as a resolver's user sees it: printable ASCII without quotes and backslashes
    (refused otherwise: BadInput).
    """

    zone: str
    name: str
    value: str
    ttl: int = DEFAULT_TTL

    def __post_init__(self) -> None:
        if not _PLAIN.fullmatch(self.value):
            raise BadInput(field="value", reason="a TXT text is printable ASCII without quotes and backslashes")

    @property
    def strings(self) -> tuple[str, ...]:
        """The value cut into strings of at most 255 bytes; a resolver joins them without a blank."""
        cut = range(0, len(self.value), STRING_BYTES)
        return tuple(self.value[start : start + STRING_BYTES] for start in cut) or ("",)

    @property
    def content(self) -> str:
        """The strings as a zone file and PowerDNS write them: quoted, separated by one blank."""
        return " ".join(f'"{string}"' for string in self.strings)

    @property
    def zone_line(self) -> str:
        """A line to paste into a zone file."""
        return f"{self.name}. {self.ttl} IN TXT {self.content}"

    @classmethod
    def from_content(cls, zone: str, name: str, content: str, ttl: int) -> Self:
        """The record whose ``content`` was stored."""
        return cls(zone, name, "".join(_QUOTED.findall(content)), ttl)
