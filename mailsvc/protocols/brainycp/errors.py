"""Answers in this wire's one shape, and the answers to what never reached an operation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from flask import request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response

from mailsvc.observation import note
from mailsvc.protocols.brainycp.fields import read
from mailsvc.protocols.brainycp.operations import BROKEN, REFUSED_METHOD, UNREADABLE, WRONG_COMMAND
from mailsvc.protocols.brainycp.outcomes import RU, Outcome, language_of

CONTENT_TYPE = "application/json; charset=utf-8"
NO_FACTS: dict[str, object] = {}


def reply(
    outcome: Outcome,
    language: str,
    facts: dict[str, object] = NO_FACTS,
    members: Mapping[str, Any] = NO_FACTS,
    allow: str | None = None,
) -> Response:
    """The one object of this wire: both pairs of names, so that both kinds of client work, then ``members``."""
    text = outcome.say(language, facts)
    body = {"error": outcome.code, "mess": text, "code": outcome.code, "message": text, **members}
    note(code=outcome.code)
    response = Response(orjson.dumps(body), outcome.status, content_type=CONTENT_TYPE)
    if allow is not None:
        response.headers["Allow"] = allow
    return response


def outside(error: Exception) -> Response:
    """The answer to an error on this dialect's paths that no operation could answer."""
    if isinstance(error, MethodNotAllowed):
        return reply(REFUSED_METHOD, _language(), allow="GET, POST")
    if isinstance(error, NotFound):
        return reply(replace(WRONG_COMMAND, status=404), _language())
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return reply(replace(UNREADABLE, status=error.code), RU)
    return reply(BROKEN, RU)


def _language() -> str:
    try:
        return language_of(read(request).last("language"))
    except HTTPException:
        return RU
