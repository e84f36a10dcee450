"""What the two ONLYOFFICE dialects have in common on the wire: bodies, numbers of errors, moments, and one JSON answer.

The numbers are those of the .NET runtime (HRESULT) that the vendor's service runs on.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from flask import Request
from werkzeug.wrappers import Response

from mailsvc.protocols import json_bodies

CONTENT_TYPE = "application/json; charset=utf-8"

ACCESS_DENIED = "Access denied"

SECURITY = -2146233078
ARGUMENT = -2147024809
ARGUMENT_NULL = -2147467261
FORMAT = -2146233033
MISSING_METHOD = -2146233069
APPLICATION = -2146233087
GENERAL = -2146233088

_JSON = re.compile(r"application/(?:[^/;\s]+\+)?json|text/json")


class NotAnObject(Exception):
    """The body is JSON, but not an object."""


def is_json(request: Request) -> bool:
    """Whether the body claims to be JSON: ``application/json``, ``application/*+json`` or ``text/json``."""
    return _JSON.fullmatch(request.mimetype) is not None


def is_encoded(request: Request) -> bool:
    """Whether the body went through a coding (RFC 9110, section 8.4), which neither dialect undoes."""
    return request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity")


def has_body(request: Request) -> bool:
    """Whether the request announces a body of at least one byte, or of unknown length."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def members(body: bytes) -> dict[str, Any]:
    """The members of a JSON object, names in lower case; of names that differ in case alone the last counts.

    Raises json_bodies.NotJson, json_bodies.UnsafeJson, NotAnObject.
    """
    value = json_bodies.parse(body, fold_names=True)
    if not isinstance(value, dict):
        raise NotAnObject
    return value


def moment(when: datetime) -> str:
    """``when``, in UTC, with seven digits after the second, as .NET writes it."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06d}0Z"


def answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """``body`` as JSON, members in their order."""
    return Response(orjson.dumps(body), status, content_type=CONTENT_TYPE)
