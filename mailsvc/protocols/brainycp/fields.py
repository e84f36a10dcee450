"""Reading the fields of a request, in the order in which they were sent.

Names are compared without regard to case. A field of the body hides the query fields of its name, because a body is
less exposed than a query string.
"""

import io
from collections.abc import Sequence
from typing import IO, Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from mailsvc.protocols import bodies

MOST = 1000
"""Fields of one request; PHP's own limit, and more of them is an attack on memory."""

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

Pair = tuple[str, str]


class Fields:
    """The fields of one request. Text that was not UTF-8 holds U+FFFD."""

    def __init__(self, body: Sequence[Pair], query: Sequence[Pair] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in body:
            self._values.setdefault(name.lower(), []).append(value)
        hidden = frozenset(self._values)
        for name, value in query:
            if name.lower() not in hidden:
                self._values.setdefault(name.lower(), []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def all(self, name: str) -> Sequence[str]:
        """Every value of the field, in the order sent."""
        return self._values.get(name, ())

    def last(self, name: str) -> str | None:
        """The value that counts when a field is repeated, or None."""
        values = self._values.get(name)
        return values[-1] if values else None


def read(request: Request) -> Fields:
    """The fields of ``request``.

    Raises RequestEntityTooLarge for a body over the limit or too many fields, BadRequest for half a body.
    """
    return Fields(_body(request), _urlencoded(request.query_string))


def _body(request: Request) -> Sequence[Pair]:
    # Read in any case: only then is a body of unknown length known to be within the limit.
    body = bodies.whole(request)
    if request.mimetype == MULTIPART:
        return _multipart(body, request.mimetype_params.get("boundary", ""))
    return _urlencoded(body) if request.mimetype == URLENCODED else ()


def _urlencoded(text: bytes) -> Sequence[Pair]:
    if not text:
        return ()
    if text.count(b"&") >= MOST:
        raise RequestEntityTooLarge
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, encoding="utf-8", errors="replace")


def _multipart(body: bytes, boundary: str) -> Sequence[Pair]:
    # Werkzeug's own reading of a form keeps the order within a name only, and that of `password` and `Password` counts.
    as_sent: Any = list
    parser = MultiPartParser(_in_memory, len(body), max_form_parts=MOST, cls=as_sent)
    try:
        pairs: Any = parser.parse(io.BytesIO(body), boundary.encode("ascii", "replace"), len(body))[0]
    except ValueError:
        return ()
    return [(str(name), str(value)) for name, value in pairs]


def _in_memory(*_args: object, **_facts: object) -> IO[bytes]:
    return io.BytesIO()
