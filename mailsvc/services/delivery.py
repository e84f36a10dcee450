"""Which mailboxes here a message to an address ends up in: the way Postfix and Dovecot go, through the same views."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, column, select, table

from mailsvc.core.addresses import Address, mail_address
from mailsvc.core.refusals import BadInput

MOST = 1000
"""Addresses that Postfix makes of one recipient before it gives up (virtual_alias_expansion_limit)."""

_ALIASES = table("postfix_alias", column("address"), column("target"))
_TARGETS = select(_ALIASES.c.target).where(_ALIASES.c.address == bindparam("address"))
_CATCH_ALLS = table("postfix_catch_all", column("domain"), column("target"))
_CAUGHT = select(_CATCH_ALLS.c.target).where(_CATCH_ALLS.c.domain == bindparam("domain"))
_DOMAINS = table("postfix_domain", column("name"))
_OURS = select(_DOMAINS.c.name).where(_DOMAINS.c.name == bindparam("name"))
_USERS = table("dovecot_user", column("address"), column("quota_bytes"))
_QUOTA = select(_USERS.c.address, _USERS.c.quota_bytes).where(_USERS.c.address == bindparam("address"))


@dataclass(frozen=True, slots=True)
class Destination:
    """A mailbox that a message ends up in. ``quota_bytes`` 0 is unlimited."""

    address: str
    quota_bytes: int


def destinations(unit: Connection, recipient: str) -> Sequence[Destination]:
    """The mailboxes of this server that mail to ``recipient`` reaches, through forwards, chains of them and catch-alls.

    Empty for what is not an address or leads elsewhere.
    """
    start = _read(recipient)
    if start is None:
        return []
    boxes = (_mailbox(unit, end) for end in _ends(unit, start))
    return list({box.address: box for box in boxes if box is not None}.values())


def leads_nowhere(unit: Connection, recipient: str) -> bool:
    """Whether all ways from ``recipient`` end at addresses of this server that are nobody's, or go round in a circle.

    So it is once the mailbox behind a forward is removed. Postfix would take the message and bounce it, or, in a
    circle, ask for it again and again.
    """
    start = _read(recipient)
    if start is None:
        return False
    return not any(_is_elsewhere(unit, end) or _mailbox(unit, end) is not None for end in _ends(unit, start))


def _read(recipient: str) -> Address | None:
    try:
        return mail_address(recipient)
    except BadInput:
        return None


def _ends(unit: Connection, start: Address) -> Iterator[Address]:
    """The addresses that mail to ``start`` goes to and that no forward or catch-all leads on from."""
    pending, seen = [start], set[Address]()
    while pending and len(seen) < MOST:
        address = pending.pop()
        if address in seen:
            continue
        seen.add(address)
        targets = _targets(unit, address)
        if not targets or address in targets:
            yield address
        pending += [target for target in targets if target != address]


def _is_elsewhere(unit: Connection, address: Address) -> bool:
    return unit.scalar(_OURS, {"name": address.domain}) is None


def _targets(unit: Connection, address: Address) -> Sequence[Address]:
    """What Postfix's virtual_alias_maps make of ``address``: of the whole one, else of the one without its extension,
    which is then added to what was found (propagate_unmatched_extensions), else of the domain."""
    if targets := unit.scalars(_TARGETS, {"address": str(address)}).all():
        return [_stored(target) for target in targets]
    base = address.without_extension
    extension = address.local.removeprefix(base.local)
    if extension and (targets := unit.scalars(_TARGETS, {"address": str(base)}).all()):
        return [Address(target.local + extension, target.domain) for target in map(_stored, targets)]
    return [_stored(target) for target in unit.scalars(_CAUGHT, {"domain": address.domain})]


def _mailbox(unit: Connection, address: Address) -> Destination | None:
    for asked in (address, address.without_extension):
        row = unit.execute(_QUOTA, {"address": str(asked)}).one_or_none()
        if row is not None:
            return Destination(row.address, row.quota_bytes)
    return None


def _stored(address: str) -> Address:
    """What is stored is canonical already."""
    local, _, domain = address.rpartition("@")
    return Address(local, domain)
