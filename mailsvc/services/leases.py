"""Who visits which external account now: one visit of an account at a time, however many workers there are.

A lease lies in the database and ends by itself. That of a worker that was killed on this machine is taken away from it
at once: its name says which process it was.
"""

import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from mailsvc.services.ports import Ports
from mailsvc.store.models import ExternalAccount as Row
from mailsvc.store.types import OFF, ON

Found = Any
"""A row of external_account."""

PERIOD = timedelta(seconds=120)
"""How long a lease holds. Its holder renews it in time, message by message or by ``renew``."""

_FREE = or_(Row.lease_until.is_(None), Row.lease_until <= bindparam("now"))
_DUE = (
    select(Row.id)
    .where(Row.enabled == ON, Row.next_visit_at <= bindparam("now"), _FREE)
    .order_by(Row.next_visit_at, Row.id)
    .limit(bindparam("most"))
)
_ANY = (
    select(Row.id)
    .where(
        Row.enabled == ON,
        or_(Row.quota_error == OFF, Row.next_visit_at <= bindparam("now")),
        _FREE,
        Row.id > bindparam("after"),
    )
    .order_by(Row.id)
    .limit(bindparam("most"))
)
_TAKE = (
    update(Row)
    .where(Row.id == bindparam("which"))
    .values(lease_holder=bindparam("holder"), lease_until=bindparam("until"))
)
_ROW = select(Row.__table__).where(Row.id == bindparam("which"))
_RENEW = (
    update(Row)
    .where(Row.id == bindparam("which"), Row.lease_holder == bindparam("holder"))
    .values(lease_until=bindparam("until"))
)
_RELEASE = update(Row).where(Row.lease_holder == bindparam("holder")).values(lease_holder=None, lease_until=None)
_HOLDERS = select(Row.lease_holder).where(Row.lease_holder.is_not(None)).distinct()


def due(ports: Ports, holder: str, *, moment: datetime, most: int) -> Sequence[Found]:
    """Up to ``most`` accounts whose visit is due, those that wait longest first, now leased to ``holder``."""
    with ports.store.reading() as unit:
        if unit.execute(_DUE, {"now": moment, "most": 1}).first() is None:
            return []
    return _taken(ports, holder, moment, lambda unit: unit.scalars(_DUE, {"now": moment, "most": most}).all())


def next_after(ports: Ports, holder: str, *, moment: datetime, after: int, most: int) -> Sequence[Found]:
    """Up to ``most`` enabled accounts with numbers above ``after``, due or not, now leased to ``holder``.

    Those whose mailbox was full wait for their time all the same.
    """
    values = {"now": moment, "after": after, "most": most}
    return _taken(ports, holder, moment, lambda unit: unit.scalars(_ANY, values).all())


def _taken(ports: Ports, holder: str, moment: datetime, find: Any) -> Sequence[Found]:
    with ports.store.writing() as unit:
        numbers = find(unit)
        for number in numbers:
            unit.execute(_TAKE, {"which": number, "holder": holder, "until": moment + PERIOD})
        return [unit.execute(_ROW, {"which": number}).one() for number in numbers]


def renew(ports: Ports, holder: str, accounts: Iterable[int], *, moment: datetime) -> None:
    """Keep those of ``accounts`` that ``holder`` has for another PERIOD."""
    values = [{"which": account, "holder": holder, "until": moment + PERIOD} for account in accounts]
    if values:
        with ports.store.writing() as unit:
            unit.execute(_RENEW, values)


def is_held(row: Found, holder: str, moment: datetime) -> bool:
    """Whether ``holder`` still has the account whose ``row`` was read just now."""
    return row.lease_holder == holder and row.lease_until is not None and row.lease_until > moment


def release_of_the_dead(ports: Ports) -> None:
    """Take their leases away from workers that do not live any more."""
    with ports.store.reading() as unit:
        dead = [holder for holder in unit.scalars(_HOLDERS) if holder and is_dead(holder)]
    for holder in dead:
        with ports.store.writing() as unit:
            unit.execute(_RELEASE, {"holder": holder})


def new_holder() -> str:
    """A name for this process as a holder of leases."""
    return "/".join((_machine(), str(os.getpid()), _started(os.getpid()) or "-", secrets.token_hex(4)))


def is_dead(holder: str) -> bool:
    """Whether ``holder`` was a process of this machine, since its last start, and is gone. False when unsure."""
    machine, _, rest = holder.partition("/")
    pid, _, rest = rest.partition("/")
    started = rest.partition("/")[0]
    if machine != _machine() or not pid.isdigit() or started == "-":
        return False
    return _started(int(pid)) != started


def _machine() -> str:
    """This start of this machine, and the name space that its process numbers are of."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str(Path("/proc/self/ns/pid").readlink()).removeprefix("pid:").strip("[]")
        return f"{boot}-{space}"
    return secrets.token_hex(8)


def _started(pid: int) -> str | None:
    """When a process was started, in ticks since the machine was (proc(5), ``stat``, field 22)."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        # A process that nobody has waited for yet does nothing any more.
        return None if fields[0] in ("Z", "X") else fields[19]
    return None
