"""Authentication-Results headers that claim to come from this server (RFC 8601, section 5)."""

import re
from collections.abc import Iterator, Sequence

NAME = b"authentication-results"

_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)")
_IDENTIFIER = re.compile(r'\s*(?:"([^"\\]*)"|([^\s;"()]+))(?:\s+[0-9]+)?\s*;')

_MOST = 1000
"""Bytes within which the author must be named. Comments may be nested, and each level costs another pass."""


def forged(headers: Sequence[tuple[bytes, bytes]], hostname: str) -> Iterator[int]:
    """Which of a message's Authentication-Results headers, counted from 1, must go: those that name ``hostname`` as
    their author, and those of which it cannot be told.

    Nothing on this server writes such a header before this filter is asked, so each that names it is a forgery.
    """
    values = [value for name, value in headers if name.strip().lower() == NAME]
    for ordinal, value in enumerate(values, start=1):
        if _author(value) in (None, hostname):
            yield ordinal


def _author(value: bytes) -> str | None:
    text = value[:_MOST].decode("utf-8", "replace")
    previous = None
    while text != previous:  # comments may stand within comments
        previous, text = text, _COMMENT.sub(" ", text)
    match = _IDENTIFIER.match(text)
    return None if match is None else (match[1] or match[2] or "").lower().rstrip(".")
