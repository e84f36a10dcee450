"""Reading JSON (RFC 8259) strictly; the same for every dialect that takes it.

Member order is kept, a repeated name counts with its last value at its first place, whole numbers stay exact.
"""

import json
import math
import re
from typing import Any, NoReturn

DEEPEST = 100
"""Levels of nesting; more is an attack on whoever walks through it."""

# One without an end goes to the end of the text: else every quote in it would be tried as the beginning of one, which
# takes a time that grows with the square of the length.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_OPENING = re.compile(rb"[\[{]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(Exception):
    """The text is not JSON. ``position`` is where, in characters; ``ended`` whether there it simply ends."""

    def __init__(self, text: str, position: int) -> None:
        super().__init__("not JSON")
        self.position = position
        self.ended = position >= len(text)
        self.character = text[position : position + 1]


class UnsafeJson(Exception):
    """JSON of a kind, but with what cannot be kept and given back: NaN, Infinity, a number outside of the range of a
    double, nesting deeper than DEEPEST, half a surrogate pair, bytes that are not UTF-8.
    """


def parse(body: bytes, *, fold_names: bool = False) -> Any:
    """The value that ``body`` holds. Raises NotJson, UnsafeJson.

    With ``fold_names`` all member names are in lower case, and the last of those that then are the same counts.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise UnsafeJson from None
    if len(_OPENING.findall(body)) > DEEPEST:
        _refuse_deep(body)
    try:
        value = (_FOLDING if fold_names else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(text, _position(text, error)) from None
    if _SURROGATE.search(body):
        _refuse_halves(value)
    return value


def _folded(members: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.lower(): value for name, value in members}


def _position(text: str, error: json.JSONDecodeError) -> int:
    # Python names the place where a value begins also when it ends too early.
    unfinished = error.msg.startswith("Unterminated string")
    return len(text) if unfinished or not text[error.pos :].strip() else error.pos


def _refuse_deep(body: bytes) -> None:
    depth = 0
    for byte in _STRING.sub(b"", body):
        if byte in b"[{":
            depth += 1
            if depth > DEEPEST:
                raise UnsafeJson
        elif byte in b"]}":
            depth -= 1


def _refuse(_constant: str) -> NoReturn:
    raise UnsafeJson


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise UnsafeJson
    return number


def _whole(text: str) -> int:
    try:
        number = int(text)
        float(number)
    except (ValueError, OverflowError):
        raise UnsafeJson from None
    return number


def _refuse_halves(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise UnsafeJson from None


# Made once: json.loads makes one for each text that is not read as it reads by itself.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_number, parse_int=_whole)
_FOLDING = json.JSONDecoder(parse_constant=_refuse, parse_float=_number, parse_int=_whole, object_pairs_hook=_folded)
