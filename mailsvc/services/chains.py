"""Where mail goes on this server from one address to the next, by forwards and catch-alls, as Postfix follows them.

A catch-all is written ``@domain`` here, as Postfix looks it up: after the address itself, and after the address without
its ``+extension``, when those are neither a mailbox nor the source of a forward.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, Select, bindparam, select

from mailsvc.core.addresses import Address
from mailsvc.store.models import CatchAll, Domain, Forward, ForwardTarget, Mailbox

_AT_ONCE = 500
"""Addresses asked for in one statement while a chain is followed."""

_ONWARD = (
    select(ForwardTarget.target)
    .join(Forward, Forward.id == ForwardTarget.forward_id)
    .where(Forward.source.in_(bindparam("names", expanding=True)))
)
_CAUGHT = (
    select(CatchAll.target)
    .join(Domain, Domain.id == CatchAll.domain_id)
    .where(Domain.name.in_(bindparam("names", expanding=True)))
)
_RULES_AMONG = select(Forward.source).where(Forward.source.in_(bindparam("names", expanding=True)))
_BOXES_AMONG = select(Mailbox.address).where(Mailbox.address.in_(bindparam("names", expanding=True)))


def leading_back(unit: Connection, source: str, targets: Iterable[str]) -> str | None:
    """The first of ``targets`` from which mail would come back to ``source`` (an address or ``@domain``), or None."""
    seen: set[str] = set()
    for target in targets:
        level = {target}
        while level:
            reached = level | _fallbacks(unit, level)
            reached |= _catch_alls(unit, reached)
            if source in reached:
                return target
            seen |= reached
            level = _onward(unit, reached) - seen
    return None


def is_served(unit: Connection, address: str) -> bool:
    """Whether ``address`` is a mailbox or the source of a forward."""
    return bool(_served(unit, {address}))


def _served(unit: Connection, addresses: set[str]) -> set[str]:
    return _among(unit, _RULES_AMONG, addresses) | _among(unit, _BOXES_AMONG, addresses)


def _fallbacks(unit: Connection, addresses: set[str]) -> set[str]:
    """Where Postfix looks next for those of ``addresses`` that have a ``+extension`` and are nothing by themselves."""
    extended = {address for address in addresses if "+" in address}
    return {_without_extension(address) for address in extended - _served(unit, extended)} if extended else set()


def _without_extension(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return str(Address(local, domain).without_extension)


def _catch_alls(unit: Connection, addresses: set[str]) -> set[str]:
    """What catches those of ``addresses``, fallbacks among them, that are nothing, should there be a catch-all."""
    served = _served(unit, addresses)
    nobodys = {address for address in addresses if not {address, _without_extension(address)} & served}
    return {f"@{address.rpartition('@')[2]}" for address in nobodys}


def _onward(unit: Connection, names: set[str]) -> set[str]:
    caught = {name.removeprefix("@") for name in names if name.startswith("@")}
    return _among(unit, _ONWARD, names) | _among(unit, _CAUGHT, caught)


def _among(unit: Connection, statement: Select[str], names: set[str]) -> set[str]:
    ordered = sorted(names)
    slices = (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))
    return {found for part in slices for found in unit.scalars(statement, {"names": part})}
