"""The login throttle that all dialects share: five failures within 60 s block a pair of user name and address
for 60 s."""

import hashlib
import math
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from mailsvc.store.models import LoginBlock, LoginFailure
from mailsvc.store.types import now

FAILURES = 5
WINDOW = timedelta(seconds=60)
BLOCK = timedelta(seconds=60)

BLOCKED_UNTIL = (
    select(LoginBlock.until)
    .where(LoginBlock.pair == bindparam("pair"), LoginBlock.until > bindparam("now"))
    .scalar_subquery()
)
"""When the block of ``:pair`` ends, or NULL, to be asked within another statement."""

_BLOCKED = select(BLOCKED_UNTIL)
_RECENT = (
    select(func.count())
    .select_from(LoginFailure)
    .where(LoginFailure.pair == bindparam("pair"), LoginFailure.at > bindparam("since"))
)


def pair_of(name: str, address: str) -> str:
    """The key under which the attempts of ``address`` to be ``name`` are counted."""
    return hashlib.blake2b(f"{len(name)}:{name}@{address}".encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def blocked_until(unit: Connection, pair: str) -> datetime | None:
    """Until when attempts of this pair are not even looked at; None when they are."""
    until: datetime | None = unit.scalar(_BLOCKED, {"pair": pair, "now": now()})
    return until


def seconds_until(moment: datetime) -> int:
    """What a caller is told to wait for ``moment``: whole seconds, at least one."""
    return max(1, math.ceil((moment - now()).total_seconds()))


def note_failure(unit: Connection, pair: str) -> None:
    """Count a failed attempt, block the pair if it was one too many, and forget what no longer matters of all pairs."""
    moment = now()
    unit.execute(delete(LoginFailure).where(LoginFailure.at <= moment - WINDOW))
    unit.execute(delete(LoginBlock).where(LoginBlock.until <= moment))
    unit.execute(insert(LoginFailure), {"pair": pair, "at": moment})
    if (unit.scalar(_RECENT, {"pair": pair, "since": moment - WINDOW}) or 0) >= FAILURES:
        unit.execute(delete(LoginFailure).where(LoginFailure.pair == pair))
        unit.execute(delete(LoginBlock).where(LoginBlock.pair == pair))
        unit.execute(insert(LoginBlock), {"pair": pair, "until": moment + BLOCK})
