"""Reading the body as the contract's section 1 says, step by step; before anybody is asked who he is."""

from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from mailsvc.core.texts import cleaned
from mailsvc.protocols import bodies, json_bodies

NAME_SHOWN = 64
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\n\r"


class Unreadable(Exception):
    """The body cannot be used. What is answered: an HTTP status and a text."""

    def __init__(self, status: int, info: str) -> None:
        super().__init__(info)
        self.status, self.info = status, info


def read(request: Request) -> Any:
    """The object or list of the body; an empty object when there is none, or one of another type.

    Raises Unreadable.
    """
    environ = request.environ
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return {}
    if request.mimetype != "application/json":
        return {}
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() != "utf-8":
        raise Unreadable(415, f'unsupported charset "{cleaned(charset, NAME_SHOWN).upper()}"')
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise Unreadable(415, f'unsupported content encoding "{cleaned(encoding, NAME_SHOWN)}"')
    try:
        sent = bodies.whole(request)
    except RequestEntityTooLarge:
        raise Unreadable(413, "request entity too large") from None
    except BadRequest:
        raise Unreadable(400, "request aborted") from None
    return _parsed(sent.removeprefix(BYTE_ORDER_MARK)) if sent else {}


def _parsed(sent: bytes) -> Any:
    begun = sent.lstrip(_BLANKS)
    try:
        if begun and begun[:1] not in b"{[":
            # An honest error of the parser's where it has one, else of the strict mode.
            json_bodies.parse(sent)
            at = len(sent) - len(begun)
            raise Unreadable(400, _unexpected(begun.decode()[0], at))
        return json_bodies.parse(sent)
    except json_bodies.NotJson as error:
        info = "Unexpected end of JSON input" if error.ended else _unexpected(error.character, error.position)
        raise Unreadable(400, info) from None
    except json_bodies.UnsafeJson:
        raise Unreadable(400, "Bad parameters.") from None


def _unexpected(character: str, position: int) -> str:
    return f"Unexpected token {character} in JSON at position {position}"
