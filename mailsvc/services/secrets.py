"""The sealed values of the whole database: a new sealing key for all of them, and which of them do not open."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Column, Row, func, select, update

from mailsvc.core.acts import Act
from mailsvc.services import audit
from mailsvc.services.ports import Ports
from mailsvc.store.models import Base
from mailsvc.store.types import Sealed
from mailsvc.vault import seals
from mailsvc.vault.seals import CannotOpen

KEYS_KEPT = 2
"""What was sealed with the key before, a moment before the file changed, must open."""

SETTLED_SECONDS = 60
"""How long after a rotation nobody can be about to store what he sealed with a key from before it."""

BATCH = 100
"""Values of one transaction."""

MOST_PASSES = 10

SEALED: Sequence[Column[Any]] = [
    column for table in Base.metadata.sorted_tables for column in table.columns if isinstance(column.type, Sealed)
]
"""Every column that holds sealed values."""


class CannotRotate(Exception):
    """One clear line about why the sealing key was not changed, or not everywhere; it can be tried again."""


class Rotated(NamedTuple):
    """How many values were sealed anew, and where how many were left as they are because they open with no key."""

    resealed: int
    unopened: dict[str, int]


def rotate(ports: Ports, act: Act) -> Rotated:
    """Make a new sealing key and seal every value with it, while everybody goes on working.

    The new key is in the file before anything is sealed with it, and older ones leave the file only after everything
    is, and not within SETTLED_SECONDS of the rotation before: killed at any moment, nothing is lost, and it can be run
    again. Raises CannotRotate.
    """
    key_file = ports.settings.key_file
    try:
        with seals.rotation_of(key_file) as alone:
            if not alone:
                raise CannotRotate(f"the keys of {key_file} are being rotated already")
            # With two rotations in a row even the key before the last may still be in somebody's hands.
            settled = time.time() - key_file.stat().st_mtime > SETTLED_SECONDS
            seals.add_key(key_file)
            rotated = _reseal_everything(ports)
            if settled:
                seals.keep_newest(key_file, KEYS_KEPT)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not hold Fernet keys"
        raise CannotRotate(f"cannot change the key file {key_file}: {reason}") from None
    with ports.store.writing() as unit:
        audit.done(unit, act, key_file.name)
    return rotated


def _reseal_everything(ports: Ports) -> Rotated:
    """Again and again, until a pass finds nothing to do: others may have sealed with the key before meanwhile."""
    resealed = 0
    for _ in range(MOST_PASSES):
        passes = [_reseal(ports, column) for column in SEALED]
        resealed += sum(one.resealed for one in passes)
        if not any(one.found for one in passes):
            pairs = zip(SEALED, passes, strict=True)
            return Rotated(resealed, {name_of(column): one.unopened for column, one in pairs if one.unopened})
    raise CannotRotate("others keep sealing with the key before: restart them, and try again")


class Pass(NamedTuple):
    """One way through a column: values that an older key had sealed, those replaced, and those that did not open."""

    found: int
    resealed: int
    unopened: int


def _reseal(ports: Ports, column: Column[Any]) -> Pass:
    found = resealed = unopened = 0
    for rows in _batches(ports, column):
        changes = []
        for row in rows:
            try:
                new = ports.seals.resealed(row.sealed)
            except CannotOpen:
                unopened += 1
                continue
            if new is not None:
                changes.append((row, new))
        found += len(changes)
        resealed += _replace(ports, column, changes)
    return Pass(found, resealed, unopened)


def _replace(ports: Ports, column: Column[Any], changes: Sequence[tuple[Row[Any], bytes]]) -> int:
    """Put new values in the place of the old ones, where these are still there."""
    if not changes:
        return 0
    replaced = 0
    with ports.store.writing() as unit:
        for row, new in changes:
            same = [key == value for key, value in zip(column.table.primary_key, row, strict=False)]
            statement = update(column.table).where(*same, column == row.sealed)
            replaced += unit.execute(statement.values({column.name: new})).rowcount
    return replaced


def _batches(ports: Ports, column: Column[Any]) -> Iterator[Sequence[Row[Any]]]:
    """All values of a column with the keys of their rows before them, paged by key."""
    keys = list(column.table.primary_key)
    page = select(*keys, column.label("sealed")).where(column.is_not(None)).order_by(*keys).limit(BATCH)
    rows = _page(ports, page)
    while rows:
        yield rows
        last = sa.tuple_(*(sa.literal(rows[-1][place], key.type) for place, key in enumerate(keys)))
        rows = _page(ports, page.where(sa.tuple_(*keys) > last))


def _page(ports: Ports, page: sa.Select[Any]) -> Sequence[Row[Any]]:
    with ports.store.reading() as unit:
        return unit.execute(page).all()


def stored(ports: Ports) -> dict[str, int]:
    """How many sealed values each column holds; columns without any are left out."""
    with ports.store.reading() as unit:
        counts = {name_of(one): unit.scalar(select(func.count(one)).select_from(one.table)) or 0 for one in SEALED}
    return {name: count for name, count in counts.items() if count}


def foreign(ports: Ports) -> list[str]:
    """The columns whose first value does not open with the keys there are: a look at each, not a search of all."""
    found = []
    for column in SEALED:
        with ports.store.reading() as unit:
            sealed = unit.scalar(select(column).where(column.is_not(None)).limit(1))
        try:
            if sealed is not None:
                ports.seals.resealed(sealed)
        except CannotOpen:
            found.append(name_of(column))
    return found


def name_of(column: Column[Any]) -> str:
    """What messages call a column."""
    return f"{column.table.name}.{column.name}"
