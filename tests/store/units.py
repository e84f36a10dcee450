"""Small things to read and to write in a unit of work."""

import sqlalchemy as sa
from sqlalchemy import Connection

from mailsvc.store import Store
from mailsvc.store.models import AuditEntry, Domain
from mailsvc.store.types import now

SERIAL = sa.select(Domain.zone_serial).where(Domain.name == "bob.test")


def serial(store: Store) -> int:
    with store.reading() as unit:
        return unit.scalars(SERIAL).one()


def count_up(unit: Connection) -> None:
    """Read, then write what follows from it."""
    found = unit.scalars(SERIAL).one()
    unit.execute(sa.update(Domain).where(Domain.name == "bob.test").values(zone_serial=found + 1))


def note(unit: Connection, text: str) -> None:
    """Write something that may be of any size."""
    nobody = dict.fromkeys(("dialect", "operation", "caller", "acting", "outcome"), "")
    unit.execute(sa.insert(AuditEntry), {"at": now(), **nobody, "object": text, "code": 0})


def noted(store: Store) -> list[str]:
    """The first words of what ``note`` has written, in its order."""
    ours = sa.select(AuditEntry.object).where(AuditEntry.operation == "").order_by(AuditEntry.id)
    with store.reading() as unit:
        return [text.split()[0] for text in unit.scalars(ours)]
