"""The document on the wire: what of a body is kept, in which order, and how it is shown."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

NEVER_KEPT = frozenset({"access_token", "x_key", "_id"})
"""Credentials that may come in the body, and the name that the server gives."""


def kept(members: Mapping[str, Any], domain: str) -> dict[str, Any]:
    """What is stored: ``domain`` at its place in the body, else last, and always the domain that it is kept for."""
    document = {name: value for name, value in members.items() if name not in NEVER_KEPT}
    document["domain"] = domain
    return document


def text_of(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, as it is stored and as it is shown."""
    try:
        return orjson.dumps(document)
    except TypeError:
        # Whole numbers of more than 64 bits, which the quick writer does not know.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def shown(public_id: str, text: bytes) -> bytes:
    """A stored document with its name before its members, of which there is always one."""
    return b'{"_id":"%b",%b' % (public_id.encode(), text[1:])


def parsed(text: bytes) -> dict[str, Any]:
    """A stored document again."""
    document: dict[str, Any] = json.loads(text)
    return document
