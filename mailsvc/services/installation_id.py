"""What this installation is called by itself: a UUID, made at its first start."""

import uuid

from sqlalchemy import Connection, insert, select, update

from mailsvc.services.ports import Ports
from mailsvc.store.models import Installation

_UUID = select(Installation.uuid)
_COUNT = update(Installation).values(accounts_made=Installation.accounts_made + 1)
_MADE = select(Installation.accounts_made)


def make(ports: Ports) -> None:
    """Give the installation its UUID, unless it has one."""
    with ports.store.writing() as unit:
        if unit.scalar(_UUID) is None:
            unit.execute(insert(Installation), {"id": 1, "uuid": str(uuid.uuid4()), "accounts_made": 0})


def uuid_of(unit: Connection) -> str:
    """The UUID."""
    found: str = unit.execute(_UUID).scalar_one()
    return found


def next_account(unit: Connection) -> int:
    """The number of an external account to be made: greater than all that were ever given out."""
    unit.execute(_COUNT)
    number: int = unit.execute(_MADE).scalar_one()
    return number
