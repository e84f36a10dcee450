"""The audit trail: who did what to what, for whom, and what came of it."""

from sqlalchemy import Connection, insert

from mailsvc.core.acts import Act
from mailsvc.services.ports import Ports
from mailsvc.store.models import AuditEntry
from mailsvc.store.types import now

DONE = "done"

_ENTRY = insert(AuditEntry)


def done(unit: Connection, act: Act, subject: str) -> None:
    """Note that ``act`` succeeded on ``subject``, in the transaction that makes it so."""
    unit.execute(_ENTRY, _row(act, subject, DONE, act.done))


def refused(ports: Ports, act: Act, subject: str, *, outcome: str, code: int) -> None:
    """Note that ``act`` did not happen: ``outcome`` names the refusal, ``code`` is what the caller was told."""
    with ports.store.writing() as unit:
        unit.execute(_ENTRY, _row(act, subject, outcome, code))


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
