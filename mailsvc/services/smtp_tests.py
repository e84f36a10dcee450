"""The test of the SMTP settings: one job for the whole installation, that outlives the request it was asked for with.

Its state is kept in the store, where every process sees it; whoever begins a job claims it in one transaction, so that
it never runs twice at once. The process that claimed it does the work. A job that made no progress for SILENCE, which
is longer than any conversation with a server takes, was interrupted: its process is gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailsvc.core.acts import Act
from mailsvc.core.refusals import TooOften
from mailsvc.services import audit, throttle
from mailsvc.services.ports import Ports
from mailsvc.store.models import SmtpTest, SmtpTestCall
from mailsvc.store.types import OFF, now

SILENCE = timedelta(seconds=120)
WINDOW = timedelta(minutes=15)

_THE_ROW = 1

_FOUND = select(
    SmtpTest.job, SmtpTest.status, SmtpTest.percents, SmtpTest.error, SmtpTest.completed, SmtpTest.progressed_at
)
_FORGOTTEN = delete(SmtpTest)
_CHANGED = update(SmtpTest).where(SmtpTest.job == bindparam("the_job"), SmtpTest.completed == OFF)
_PAST_CALLS = delete(SmtpTestCall).where(SmtpTestCall.at <= bindparam("since"))
_CALLS = select(SmtpTestCall.at).where(SmtpTestCall.user_id == bindparam("user_id")).order_by(SmtpTestCall.at.desc())


class Superseded(Exception):
    """The job is not the present one any more, or was ended."""


@dataclass(frozen=True, slots=True)
class Job:
    """How far a job has got. ``status`` and ``error`` are in the words of the dialect that began it; ``interrupted``:
    nobody works on it any more.
    """

    id: str
    status: str = ""
    percents: int = 0
    error: str = ""
    completed: bool = False
    interrupted: bool = False


class Begun(NamedTuple):
    """The job under way, and whether it is the caller's to do."""

    job: Job
    fresh: bool


def begin(ports: Ports, act: Act) -> Begun:
    """Claim a new job, or join the one that is running. Raises TooOften with the ``seconds`` until the next call."""
    moment = now()
    with ports.store.writing() as unit:
        _count_call(unit, act.acting.id, ports.settings.docspace_test_limit, moment)
        running = _present(unit, moment)
        fresh = running is None or running.completed or running.interrupted
        job = _new(unit, moment) if running is None or fresh else running
        audit.done(unit, act, "portal")
    return Begun(job, fresh)


def _count_call(unit: Connection, user_id: int, limit: int, moment: datetime) -> None:
    unit.execute(_PAST_CALLS, {"since": moment - WINDOW})
    if not limit:
        return
    oldest = unit.scalar(_CALLS.offset(limit - 1).limit(1), {"user_id": user_id})
    if oldest is not None:
        raise TooOften(seconds=throttle.seconds_until(oldest + WINDOW))
    unit.execute(insert(SmtpTestCall), {"user_id": user_id, "at": moment})


def _new(unit: Connection, moment: datetime) -> Job:
    job = Job(str(uuid4()))
    unit.execute(_FORGOTTEN)
    values: Mapping[str, Any] = {"job": job.id, "status": "", "percents": 0, "error": "", "completed": False}
    unit.execute(insert(SmtpTest), {"id": _THE_ROW, "progressed_at": moment, **values})
    return job


def look(ports: Ports) -> Job | None:
    """The present job; one that has ended is shown once and then forgotten. None when there is none."""
    with ports.store.reading() as unit:
        job = _present(unit, now())
    if job is None or not (job.completed or job.interrupted):
        return job
    with ports.store.writing() as unit:
        job = _present(unit, now())
        if job is not None and (job.completed or job.interrupted):
            unit.execute(_FORGOTTEN)
    return job


def _present(unit: Connection, moment: datetime) -> Job | None:
    row = unit.execute(_FOUND).one_or_none()
    if row is None:
        return None
    interrupted = not row.completed and row.progressed_at <= moment - SILENCE
    return Job(row.job, row.status, row.percents, row.error, row.completed, interrupted)


def advance(ports: Ports, job: str, *, status: str, percents: int) -> None:
    """Note that ``job`` has got to ``status``. Raises Superseded."""
    _change(ports, job, status=status, percents=percents)


def succeed(ports: Ports, job: str) -> None:
    """Note that all of ``job`` is done. Raises Superseded."""
    _change(ports, job, percents=100, completed=True)


def fail(ports: Ports, job: str, error: str) -> None:
    """Note that ``job`` failed where it is, for the reason ``error``. Raises Superseded."""
    _change(ports, job, error=error, completed=True)


def _change(ports: Ports, job: str, **values: Any) -> None:
    with ports.store.writing() as unit:
        changed = unit.execute(_CHANGED.values(progressed_at=now(), **values), {"the_job": job})
    if not changed.rowcount:
        raise Superseded(job)
