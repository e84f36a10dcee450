"""Domains and their owners."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailsvc.core import zone_names
from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.refusals import AlreadyExists
from mailsvc.services import audit, publication, removed_mailboxes, scope, users
from mailsvc.services.ports import Ports
from mailsvc.store.models import Domain, Mailbox, ZoneName
from mailsvc.store.models import PanelUser as Owner
from mailsvc.store.types import now

_LISTED = select(Domain.name, Owner.name).join(Owner, Owner.id == Domain.owner_id).order_by(Domain.name)
_MAILBOXES = select(func.count()).select_from(Mailbox).where(Mailbox.domain_id == bindparam("domain_id"))


class ListedDomain(NamedTuple):
    """A domain as lists show it."""

    name: str
    owner: str


def add(ports: Ports, act: Act, *, name: str, owner: str) -> None:
    """Add the domain ``name`` (canonical) for the user ``owner``. Raises UnknownUser, AlreadyExists."""
    with ports.store.writing() as unit:
        owner_id = users.named(unit, owner).id
        row = {"name": name, "owner_id": owner_id, "created_at": now()}
        try:
            domain_id = unit.scalars(insert(Domain).returning(Domain.id), row).one()
        except IntegrityError:
            raise AlreadyExists(domain=name) from None
        names = [{"name": f"{label}.{name}", "domain_id": domain_id, "label": label} for label in zone_names.LABELS]
        unit.execute(insert(ZoneName), names)
        audit.done(unit, act, name)


def give(ports: Ports, act: Act, *, name: str, owner: str) -> None:
    """Give a domain and its mailboxes to ``owner``. Raises UnknownDomain, UnknownUser, LimitReached (his mailboxes)."""
    with ports.store.writing() as unit:
        domain = scope.domain(unit, act.acting, name)
        new = users.named(unit, owner)
        mailboxes = _mailboxes(unit, domain)
        users.count_mailboxes(unit, domain.owner_id, -mailboxes)
        users.count_mailboxes(unit, new.id, +mailboxes)
        unit.execute(update(Domain).where(Domain.id == domain.id).values(owner_id=new.id))
        removed_mailboxes.give(unit, domain, new.id)
        audit.done(unit, act, name)


def remove(ports: Ports, act: Act, *, name: str) -> None:
    """Remove a domain with its mailboxes, forwards, keys and records; the mail stays on disk for the grace time.

    Its records are withdrawn from DNS first. Raises UnknownDomain, PublishFailed (then nothing is removed).
    """
    with ports.store.reading() as unit:
        domain = scope.domain(unit, act.acting, name)
    publication.withdraw_all(ports, domain)
    with ports.store.writing() as unit:
        domain = scope.same(unit, act.acting, domain)
        publication.refuse_live(unit, domain)
        users.count_mailboxes(unit, domain.owner_id, -_mailboxes(unit, domain))
        removed_mailboxes.keep_all(unit, domain)
        unit.execute(delete(Domain).where(Domain.id == domain.id))
        audit.done(unit, act, name)


def _mailboxes(unit: Connection, domain: scope.ScopedDomain) -> int:
    return unit.scalar(_MAILBOXES, {"domain_id": domain.id}) or 0


def listed(ports: Ports, acting: PanelUser) -> Sequence[ListedDomain]:
    """The domains in the scope of ``acting``, by name."""
    statement = _LISTED if acting.is_root else _LISTED.where(Domain.owner_id == acting.id)
    with ports.store.reading() as unit:
        return [ListedDomain._make(row) for row in unit.execute(statement)]
