"""Answers in this wire's one shape, and the answers to what never reached an operation."""

from collections.abc import Mapping

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from mailsvc.observation import note
from mailsvc.protocols.dbvisit.operations import (
    BROKEN,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    NOT_JSON,
    NOT_JSON_TYPE,
    TOO_LARGE,
)
from mailsvc.protocols.dbvisit.outcomes import Outcome

CONTENT_TYPE = "application/json; charset=utf-8"

_OUTSIDE = {outcome.status: outcome for outcome in (NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, NOT_JSON_TYPE)}


def reply(body: Mapping[str, object], status: int = 200) -> Response:
    """``body`` as it goes over the wire."""
    return Response(orjson.dumps(body), status, content_type=CONTENT_TYPE)


def succeeded(result: Mapping[str, object]) -> Response:
    """What a call gives when it is done."""
    return reply({"result": result, "successful": True})


def refused(outcome: Outcome, text: str | None = None) -> Response:
    """What a call gives when it is not done: ``text``, or what the outcome says always."""
    note(code=outcome.status)
    body = {"error": {"message": outcome.text if text is None else text}, "successful": False}
    response = reply(body, outcome.status)
    response.headers.update(outcome.headers)
    return response


def outside(error: Exception) -> Response:
    """The answer to an error on this dialect's paths that no operation could answer."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return refused(_OUTSIDE.get(error.code, NOT_JSON))
    return refused(BROKEN)
