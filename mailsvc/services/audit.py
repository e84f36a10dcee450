"""The audit trail: who did what to what, for whom, and what came of it."""

import logging

from sqlalchemy import Connection, insert

from mailsvc.core.acts import Act
from mailsvc.services.ports import Ports
from mailsvc.store.engine import AGAIN_SECONDS
from mailsvc.store.models import AuditEntry
from mailsvc.store.questions import Change
from mailsvc.store.types import now

DONE = "done"

BROKEN = "Broken"
"""The outcome of what was no refusal: it failed for a reason of our own."""

log = logging.getLogger("mailsvc.audit")

_ENTRY = Change(
    insert(AuditEntry),
    ("at", "request_id", "dialect", "operation", "caller", "acting", "object", "outcome", "code"),
)


def done(unit: Connection, act: Act, subject: str) -> None:
    """Note that ``act`` succeeded on ``subject``, in the transaction that makes it so."""
    _ENTRY.make(unit, **_row(act, subject, DONE, act.done))


def noted(ports: Ports, act: Act, subject: str) -> None:
    """Note that ``act``, which changed nothing here, succeeded on ``subject``."""
    with ports.store.writing() as unit:
        done(unit, act, subject)


def refused(ports: Ports, act: Act, subject: str, *, outcome: str, code: int) -> None:
    """Note that ``act`` did not happen: ``outcome`` names the refusal, ``code`` is what the caller was told.

    The entry of what failed for a reason of our own (BROKEN) goes to the log if the store does not take it at once: it
    is the likeliest reason.
    """
    row = _row(act, subject, outcome, code)
    try:
        with ports.store.writing(AGAIN_SECONDS if outcome == BROKEN else None) as unit:
            _ENTRY.make(unit, **row)
    except Exception as error:
        if outcome != BROKEN:
            raise
        facts = {name: value for name, value in row.items() if name != "at"}
        log.error("an audit entry could not be stored: %s", type(error).__name__, extra={"facts": facts})


def _row(act: Act, subject: str, outcome: str, code: int) -> dict[str, object]:
    return {
        "at": now(),
        "request_id": act.request_id,
        "dialect": act.dialect,
        "operation": act.operation,
        "caller": act.caller,
        "acting": act.acting.name,
        "object": subject,
        "outcome": outcome,
        "code": code,
    }
