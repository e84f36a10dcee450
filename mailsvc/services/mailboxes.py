"""Mailboxes: made, listed, changed and removed. What commits here is what Postfix and Dovecot see at that instant."""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address
from mailsvc.core.passwords import checked_password
from mailsvc.core.refusals import AlreadyExists, NoSuchMailbox, UnknownDomain
from mailsvc.services import audit, removed_mailboxes, scope
from mailsvc.services import users as owners
from mailsvc.services.ports import Ports
from mailsvc.store.models import Domain, Mailbox
from mailsvc.store.questions import Question
from mailsvc.store.types import now

_INSERT = insert(Mailbox)
_DELETE = delete(Mailbox).where(Mailbox.address == bindparam("address"))
_UPDATE = update(Mailbox).where(Mailbox.address == bindparam("which"))


class ListedMailbox(NamedTuple):
    """A mailbox as lists show it; ``quota_mib`` 0 is unlimited."""

    address: str
    quota_mib: int
    enabled: bool


_LISTED = select(Mailbox.address, Mailbox.quota_mib, Mailbox.enabled).order_by(Mailbox.address)
_ALL = Question(_LISTED, ListedMailbox._make)
_OF_OWNER = Question(
    _LISTED.join(Domain, Domain.id == Mailbox.domain_id).where(Domain.owner_id == bindparam("owner_id")),
    ListedMailbox._make,
)
_IN_DOMAIN = Question(_LISTED.where(Mailbox.domain_id == bindparam("domain_id")), ListedMailbox._make)


def add(ports: Ports, act: Act, *, address: Address, password: str, quota_mib: int) -> None:
    """Make an enabled mailbox. ``quota_mib`` is in MiB, 0 is unlimited.

    Raises BadInput (the password), UnknownDomain, AlreadyExists, LimitReached (the owner's number of mailboxes).
    """
    checked_password(password)
    # Asked twice: here so that nobody's hash is paid for a domain that is not his, below because it may have changed.
    with ports.store.reading() as unit:
        scope.domain(unit, act.acting, address.domain)
    row = {
        "address": str(address),
        "password_hash": ports.passwords.hash(password),
        "quota_mib": quota_mib,
        "enabled": True,
        "incarnation": secrets.token_hex(16),
        "created_at": now(),
    }
    with ports.store.writing() as unit:
        domain = scope.domain(unit, act.acting, address.domain)
        _insert(unit, row | {"domain_id": domain.id})
        owners.count_mailboxes(unit, domain.owner_id, +1)
        audit.done(unit, act, str(address))


def _insert(unit: Connection, row: dict[str, Any]) -> None:
    try:
        unit.execute(_INSERT, row)
    except IntegrityError:
        raise AlreadyExists(address=row["address"]) from None


def remove(ports: Ports, act: Act, *, address: Address) -> None:
    """Remove a mailbox; forwards that name it stay, and it can be brought back for a time (removed_mailboxes.restore).

    Raises NoSuchMailbox, also for somebody else's.
    """
    with ports.store.writing() as unit:
        domain = _domain_of(unit, act.acting, address)
        removed_mailboxes.keep(unit, domain, str(address))
        if not unit.execute(_DELETE, {"address": str(address)}).rowcount:
            raise NoSuchMailbox(address=str(address))
        owners.count_mailboxes(unit, domain.owner_id, -1)
        audit.done(unit, act, str(address))


def change_password(ports: Ports, act: Act, *, address: Address, password: str) -> None:
    """Give a mailbox another password. Raises BadInput (the password), NoSuchMailbox."""
    checked_password(password)
    _change(ports, act, address, password_hash=ports.passwords.hash(password))


def change_quota(ports: Ports, act: Act, *, address: Address, quota_mib: int) -> None:
    """Give a mailbox another quota in MiB, 0 for unlimited. Raises NoSuchMailbox."""
    _change(ports, act, address, quota_mib=quota_mib)


def enable(ports: Ports, act: Act, *, address: Address) -> None:
    """Let the owner of the mailbox in again. Raises NoSuchMailbox."""
    _change(ports, act, address, enabled=True)


def disable(ports: Ports, act: Act, *, address: Address) -> None:
    """Let nobody into the mailbox; it goes on receiving. Raises NoSuchMailbox."""
    _change(ports, act, address, enabled=False)


def _change(ports: Ports, act: Act, address: Address, **values: Any) -> None:
    with ports.store.writing() as unit:
        _domain_of(unit, act.acting, address)
        if not unit.execute(_UPDATE.values(**values), {"which": str(address)}).rowcount:
            raise NoSuchMailbox(address=str(address))
        audit.done(unit, act, str(address))


def _domain_of(unit: Connection, acting: PanelUser, address: Address) -> scope.ScopedDomain:
    try:
        return scope.domain(unit, acting, address.domain)
    except UnknownDomain:
        raise NoSuchMailbox(address=str(address)) from None


def listed(ports: Ports, acting: PanelUser, *, domain: str | None = None) -> Sequence[ListedMailbox]:
    """The mailboxes in the scope of ``acting`` (or of one of its domains), by address. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        if domain is not None:
            return _IN_DOMAIN.ask(unit, domain_id=scope.domain(unit, acting, domain).id)
        if acting.is_root:
            return _ALL.ask(unit)
        return _OF_OWNER.ask(unit, owner_id=acting.id)
