"""One structured log line and one count for every request."""

import logging
import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from flask import request
from werkzeug.wrappers import Response

from mailsvc.core.texts import cleaned
from mailsvc.observation import metrics

log = logging.getLogger("mailsvc.request")

REASON_SHOWN = 400

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


@dataclass(slots=True)
class Observed:
    """What is known of the request under way."""

    request_id: str
    dialect: str
    begun: float = field(default_factory=time.perf_counter)
    operation: str = "-"
    caller: str = "-"
    outcome: str = "done"
    reason: str | None = None
    code: int | None = None


_present: ContextVar[Observed] = ContextVar("the present request")


def note(
    *,
    operation: str | None = None,
    caller: str | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    code: int | None = None,
) -> None:
    """Add to what is known of the present request. None of it may be a secret."""
    seen = _present.get()
    seen.operation = operation or seen.operation
    seen.caller = caller or seen.caller
    seen.outcome = outcome or seen.outcome
    seen.reason = reason or seen.reason
    seen.code = seen.code if code is None else code


def request_id() -> str:
    """The present request's own name: in its log lines, its audit entry and its reply's ``X-Request-ID``."""
    return _present.get().request_id


def begin(dialect: str | None, *, trust_given_id: bool) -> None:
    """A request has come in for ``dialect``. ``trust_given_id``: a proxy in front names the requests."""
    given = request.headers.get("X-Request-ID", "") if trust_given_id else ""
    _present.set(Observed(given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(8), dialect or "-"))


def end(response: Response) -> Response:
    """Log and count the present request, which ``response`` answers."""
    seen = _present.get()
    seconds = time.perf_counter() - seen.begun
    code = response.status_code if seen.code is None else seen.code
    response.headers["X-Request-ID"] = seen.request_id
    metrics.count(seen.dialect, seen.operation, str(code), seconds)
    log.info("request", extra={"facts": _facts(seen, code, response.status_code, seconds)})
    return response


def _facts(seen: Observed, code: int, status: int, seconds: float) -> dict[str, object]:
    facts: dict[str, object] = {
        "request_id": seen.request_id,
        "dialect": seen.dialect,
        "operation": seen.operation,
        "caller": seen.caller,
        "outcome": seen.outcome,
        "code": code,
        "status": status,
        "method": request.method,
        "address": request.remote_addr or "unix",
        "milliseconds": round(seconds * 1000, 1),
    }
    return facts | ({"reason": cleaned(seen.reason, REASON_SHOWN)} if seen.reason else {})
