"""What was sent, from query and body together (contract, section 3.1). The body states the intent, so it wins."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import BadRequest

from mailsvc.protocols import asc_wire, bodies, json_bodies
from mailsvc.protocols.onlyoffice_mail.errors import NOT_JSON, WRONG_TYPE, Failed

FORM = "application/x-www-form-urlencoded"

MOST_FIELDS = 1000


def sent(request: Request) -> Mapping[str, Any]:
    """The members by name in lower case. Raises Failed, RequestEntityTooLarge."""
    try:
        body = bodies.whole(request)
    except BadRequest:
        raise Failed(NOT_JSON) from None
    return _form(request.query_string) | _members(request, body)


def _members(request: Request, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    if asc_wire.is_encoded(request) or not (asc_wire.is_json(request) or request.mimetype == FORM):
        raise Failed(WRONG_TYPE)
    if request.mimetype == FORM:
        return _form(body)
    try:
        return asc_wire.members(body)
    except (json_bodies.NotJson, json_bodies.UnsafeJson, asc_wire.NotAnObject):
        raise Failed(NOT_JSON) from None


def _form(text: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Failed(NOT_JSON) from None
    return {name.lower(): value for name, value in pairs}
