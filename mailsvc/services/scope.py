"""The domains an acting user may touch: every domain when he is root, else the domains he owns."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import UnknownDomain
from mailsvc.store.models import Domain

_DOMAIN = select(Domain.id, Domain.name, Domain.owner_id).where(Domain.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class ScopedDomain:
    """A domain that the acting user may touch."""

    id: int
    name: str
    owner_id: int


def domain(unit: Connection, acting: PanelUser, name: str) -> ScopedDomain:
    """The domain ``name``.

    Raises UnknownDomain alike for a domain that is not there and one that is somebody else's.
    """
    row = unit.execute(_DOMAIN, {"name": name}).one_or_none()
    found = None if row is None else ScopedDomain(row.id, row.name, row.owner_id)
    if found is None or not covers(acting, found):
        raise UnknownDomain(domain=name)
    return found


def covers(acting: PanelUser, known: ScopedDomain) -> bool:
    """Whether the acting user may touch ``known``."""
    return acting.is_root or known.owner_id == acting.id


def same(unit: Connection, acting: PanelUser, known: ScopedDomain) -> ScopedDomain:
    """``known``, found earlier, as it is now. Raises UnknownDomain if it left the scope, or another took its name."""
    found = domain(unit, acting, known.name)
    if found.id != known.id:
        raise UnknownDomain(domain=known.name)
    return found
