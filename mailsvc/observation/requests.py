"""One structured log line and one count for every request."""

import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from mailsvc.core.texts import cleaned
from mailsvc.observation import metrics

log = logging.getLogger("mailsvc.request")

REASON_SHOWN = 400

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)

SAFE_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""What every answer carries that does not say otherwise."""

Headers = Sequence[tuple[str, str]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Named(Protocol):
    """What has a name."""

    @property
    def name(self) -> str: ...


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


def unseen() -> None:
    """Let what follows belong to a request that is neither logged nor counted."""
    _present.set(Observed("-", "-"))


class Observing:
    """A WSGI application around ``served``: every request is logged and counted, and every answer has ``headers``.

    ``owner_of`` gives the dialect that owns a path; ``trust_given_id``: a proxy in front names the requests. A header
    that the answer brings itself stays as it is. It stands around Flask, not within it, because Flask's price is by the
    function it calls.
    """

    def __init__(
        self, served: Wsgi, owner_of: Callable[[str], Named | None], headers: Headers, *, trust_given_id: bool
    ) -> None:
        self._served = served
        self._owner_of = owner_of
        self._headers = tuple(headers)
        self._trust_given_id = trust_given_id

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "") if self._trust_given_id else ""
        # To be told apart, not to be kept secret: the system's own randomness costs a call of the system's.
        name = given if _GIVEN_ID.fullmatch(given) else f"{random.getrandbits(64):016x}"
        owner = self._owner_of(path_of(environ))
        seen = Observed(name, "-" if owner is None else owner.name)
        _present.set(seen)

        def begin_answer(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            _end(seen, environ, int(status[:3]))
            brought = {header for header, _ in headers}
            headers.extend(pair for pair in self._headers if pair[0] not in brought)
            headers.append(("X-Request-ID", name))
            return start_response(status, headers, exc_info)

        return self._served(environ, begin_answer)


def path_of(environ: dict[str, Any]) -> str:
    """The path of a request, as Werkzeug's ``request.path`` counts slashes; what is not ASCII in it is not decoded."""
    path: str = environ.get("PATH_INFO", "")
    return "/" + path.lstrip("/")


def _end(seen: Observed, environ: dict[str, Any], status: int) -> None:
    seconds = time.perf_counter() - seen.begun
    code = status if seen.code is None else seen.code
    metrics.count(seen.dialect, seen.operation, str(code), seconds)
    if not log.isEnabledFor(logging.INFO):
        return
    facts: dict[str, object] = {
        "request_id": seen.request_id,
        "dialect": seen.dialect,
        "operation": seen.operation,
        "caller": seen.caller,
        "outcome": seen.outcome,
        "code": code,
        "status": status,
        "method": environ["REQUEST_METHOD"].upper(),
        "address": environ.get("REMOTE_ADDR") or "unix",
        "milliseconds": round(seconds * 1000, 1),
    }
    if seen.reason:
        facts["reason"] = cleaned(seen.reason, REASON_SHOWN)
    # Made here instead of by log.info, which looks through the call stack for a place that no format shows.
    log.handle(log.makeRecord(log.name, logging.INFO, "", 0, "request", (), None, extra={"facts": facts}))
