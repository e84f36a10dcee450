"""Removed mailboxes: kept with their mail for a grace time, brought back, and in the end purged.

A removed mailbox can come back only into the domain it was in; once that was removed as well, only into one of the same
name that the same user owns. So nobody's mail ever falls to whoever takes over a domain name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address
from mailsvc.core.refusals import AlreadyExists, NothingToRestore
from mailsvc.mailhost import removal
from mailsvc.services import audit, scope
from mailsvc.services import users as owners
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import Domain, Mailbox, RemovedMailbox
from mailsvc.store.types import OFF, ON, Flag, Instant, now

_KEPT = (
    Mailbox.address,
    Mailbox.password_hash,
    Mailbox.quota_mib,
    Mailbox.enabled,
    Mailbox.incarnation,
    Mailbox.created_at,
)
_NAMES = [column.key for column in _KEPT]
_MOVED = select(
    Mailbox.domain_id,
    bindparam("owner_id", type_=sa.BigInteger()),
    *_KEPT,
    bindparam("removed_at", type_=Instant()),
    literal(False, Flag()),
)
_KEEP = insert(RemovedMailbox).from_select(
    ["domain_id", "owner_id", *_NAMES, "removed_at", "purging"], _MOVED.where(Mailbox.address == bindparam("address"))
)
_KEEP_ALL = insert(RemovedMailbox).from_select(
    ["domain_id", "owner_id", *_NAMES, "removed_at", "purging"],
    _MOVED.where(Mailbox.domain_id == bindparam("domain_id")),
)
_GIVE = (
    update(RemovedMailbox)
    .where(RemovedMailbox.domain_id == bindparam("which"))
    .values(owner_id=bindparam("new_owner_id"))
)
_NEWEST = (
    select(RemovedMailbox.id, *(getattr(RemovedMailbox, name) for name in _NAMES))
    .where(
        RemovedMailbox.address == bindparam("address"),
        RemovedMailbox.purging == OFF,
        sa.or_(
            RemovedMailbox.domain_id == bindparam("domain_id"),
            sa.and_(RemovedMailbox.domain_id.is_(None), RemovedMailbox.owner_id == bindparam("owner_id")),
        ),
    )
    .order_by(RemovedMailbox.removed_at.desc(), RemovedMailbox.id.desc())
    .limit(1)
)
_FORGET = delete(RemovedMailbox).where(RemovedMailbox.id == bindparam("id"))
_LISTED = (
    select(RemovedMailbox.address, RemovedMailbox.quota_mib, RemovedMailbox.removed_at)
    .where(RemovedMailbox.purging == OFF)
    .order_by(RemovedMailbox.address, RemovedMailbox.removed_at.desc(), RemovedMailbox.id.desc())
)
_DUE = (
    select(RemovedMailbox.id, RemovedMailbox.address, RemovedMailbox.incarnation)
    .where(sa.or_(RemovedMailbox.removed_at <= bindparam("until"), RemovedMailbox.purging == ON))
    .order_by(RemovedMailbox.removed_at, RemovedMailbox.id)
)
_CONDEMN = (
    update(RemovedMailbox)
    .where(
        RemovedMailbox.id == bindparam("which"),
        RemovedMailbox.incarnation == bindparam("home"),
        ~select(Mailbox.id).where(Mailbox.incarnation == bindparam("home")).exists(),
    )
    .values(purging=True)
)
_AMONG = select(Mailbox.incarnation).where(Mailbox.incarnation.in_(bindparam("names", expanding=True)))
_KNOWN_AMONG = sa.union(
    _AMONG, select(RemovedMailbox.incarnation).where(RemovedMailbox.incarnation.in_(bindparam("names", expanding=True)))
)


class ListedRemoved(NamedTuple):
    """A removed mailbox as lists show it: it can be brought back until it is purged, at ``kept_until`` or later."""

    address: str
    quota_mib: int
    removed_at: datetime
    kept_until: datetime


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of one home. ``address`` is None for a home that no mailbox on file knows; ``failure`` is why it is
    still there, or None."""

    address: str | None
    incarnation: str
    failure: str | None


def keep(unit: Connection, domain: ScopedDomain, address: str) -> None:
    """Note that the mailbox ``address`` is about to go, in the transaction that removes it."""
    unit.execute(_KEEP, {"address": address, "owner_id": domain.owner_id, "removed_at": now()})


def keep_all(unit: Connection, domain: ScopedDomain) -> None:
    """The same for every mailbox of ``domain``."""
    unit.execute(_KEEP_ALL, {"domain_id": domain.id, "owner_id": domain.owner_id, "removed_at": now()})


def give(unit: Connection, domain: ScopedDomain, owner_id: int) -> None:
    """Let the removed mailboxes of ``domain`` go with it to its new owner."""
    unit.execute(_GIVE, {"which": domain.id, "new_owner_id": owner_id})


def restore(ports: Ports, act: Act, *, address: Address) -> None:
    """Bring the mailbox that was removed last under ``address`` back, with its mail, password and quota.

    Raises UnknownDomain, NothingToRestore, AlreadyExists (made again meanwhile), LimitReached.
    """
    with ports.store.writing() as unit:
        domain = scope.domain(unit, act.acting, address.domain)
        which = {"address": str(address), "domain_id": domain.id, "owner_id": domain.owner_id}
        found = unit.execute(_NEWEST, which).one_or_none()
        if found is None:
            raise NothingToRestore(address=str(address))
        row: dict[str, Any] = {name: getattr(found, name) for name in _NAMES}
        try:
            unit.execute(insert(Mailbox), row | {"domain_id": domain.id})
        except IntegrityError:
            raise AlreadyExists(address=str(address)) from None
        unit.execute(_FORGET, {"id": found.id})
        owners.count_mailboxes(unit, domain.owner_id, +1)
        audit.done(unit, act, str(address))


def listed(ports: Ports, acting: PanelUser, *, domain: str | None = None) -> Sequence[ListedRemoved]:
    """What can be restored in the scope of ``acting`` (or in one domain), by address, the newest first.

    Raises UnknownDomain.
    """
    grace = timedelta(days=ports.settings.purge_after_days)
    with ports.store.reading() as unit:
        statement = _LISTED
        if domain is not None:
            statement = statement.where(RemovedMailbox.domain_id == scope.domain(unit, acting, domain).id)
        elif not acting.is_root:
            own = select(Domain.id).where(Domain.owner_id == acting.id)
            statement = statement.where(RemovedMailbox.domain_id.in_(own))
        return [ListedRemoved(*row, row.removed_at + grace) for row in unit.execute(statement)]


def purge(ports: Ports, act: Act) -> Sequence[Purged]:
    """Remove the homes of mailboxes whose grace time is over, and then forget them.

    What an interrupted purge left is finished. A mailbox whose home cannot be removed stays on file for the next time.
    Raises OSError when there is no mail root: nothing can then be said of what lies in it.
    """
    removal.refuse_missing(ports.settings.mail_root)
    until = now() - timedelta(days=ports.settings.purge_after_days)
    with ports.store.reading() as unit:
        due = unit.execute(_DUE, {"until": until}).all()
    return [purged for row in due if (purged := _purged(ports, act, row)) is not None]


def _purged(ports: Ports, act: Act, row: Any) -> Purged | None:
    with ports.store.writing() as unit:
        # From here on nobody brings it back; and nobody has before.
        if not unit.execute(_CONDEMN, {"which": row.id, "home": row.incarnation}).rowcount:
            return None
    failure = _remove(ports, row.incarnation)
    if failure is None:
        with ports.store.writing() as unit:
            unit.execute(_FORGET, {"id": row.id})
            audit.done(unit, act, row.address)
    return Purged(row.address, row.incarnation, failure)


def _remove(ports: Ports, incarnation: str) -> str | None:
    try:
        removal.remove(ports.settings.mail_root, incarnation)
    except OSError as error:
        return error.strerror or str(error)
    return None


def orphans(ports: Ports) -> Sequence[str]:
    """The incarnations of homes that no mailbox on file knows, removed or not.

    They are what a restored older backup leaves behind, and never removed unasked: another database, such as the one
    that was replaced, may know them. Raises OSError.
    """
    # Listed before the question is asked: a home is made after its mailbox.
    homes = sorted(removal.homes_below(ports.settings.mail_root))
    slices = (homes[start : start + 500] for start in range(0, len(homes), 500))
    return [name for part in slices for name in _unknown(ports, part)]


def _unknown(ports: Ports, names: Sequence[str]) -> Iterable[str]:
    # One statement sees one moment: a mailbox that is removed or restored meanwhile is in one table or the other.
    with ports.store.reading() as unit:
        known = set(unit.scalars(_KNOWN_AMONG, {"names": names}))
    return [name for name in names if name not in known]


def purge_orphans(ports: Ports, act: Act) -> Sequence[Purged]:
    """Remove every orphan in which nothing has changed for the grace time. Raises OSError."""
    until = (now() - timedelta(days=ports.settings.purge_after_days)).timestamp()
    root = ports.settings.mail_root
    old = [name for name in orphans(ports) if removal.last_change(root, name) <= until]
    return [_purged_orphan(ports, act, name) for name in old if _unknown(ports, [name])]


def _purged_orphan(ports: Ports, act: Act, incarnation: str) -> Purged:
    failure = _remove(ports, incarnation)
    if failure is None:
        with ports.store.writing() as unit:
            audit.done(unit, act, incarnation)
    return Purged(None, incarnation, failure)
