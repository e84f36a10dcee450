"""Answers in this wire's shapes, and the answers to what never reached an operation."""

from collections.abc import Mapping

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from mailsvc.observation import note
from mailsvc.protocols.webitel.operations import BROKEN
from mailsvc.protocols.webitel.outcomes import Outcome

CONTENT_TYPE = "application/json; charset=utf-8"
NO_FACTS: Mapping[str, object] = {}


def reply(body: bytes, status: int = 200) -> Response:
    """An answer of this wire."""
    return Response(body, status, content_type=CONTENT_TYPE)


def refusal(outcome: Outcome, facts: Mapping[str, object] = NO_FACTS) -> Response:
    """The answer to a call that did not succeed."""
    note(code=outcome.status)
    return reply(orjson.dumps(outcome.say(facts)), outcome.status)


def unusable(status: int, info: str) -> Response:
    """The answer to a request that could not even be read."""
    note(outcome="Unreadable", reason=info, code=status)
    return reply(orjson.dumps({"status": "error", "info": info}), status)


def outside(error: Exception) -> Response:
    """The answer to an error on this dialect's paths that no route could answer."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return unusable(error.code, f"{error.name}.")
    return refusal(BROKEN)
