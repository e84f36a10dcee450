"""Forwards: rules that send the mail of an address on, with or without a copy for the mailbox of that address."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address
from mailsvc.core.refusals import ForwardLoop, NoSuchTarget, NothingStored, TooManyTargets, UnknownDomain
from mailsvc.services import audit, chains, scope
from mailsvc.services.ports import Ports
from mailsvc.store.models import Domain, Forward, ForwardTarget
from mailsvc.store.types import now

TARGETS = 100
"""The most targets of one rule: more is a mailing list, or a mail bomb by accident."""

_RULE = select(Forward.id, Forward.keep_local).where(Forward.source == bindparam("source"))
_TARGETS = (
    select(ForwardTarget.target, ForwardTarget.position)
    .where(ForwardTarget.forward_id == bindparam("forward_id"))
    .order_by(ForwardTarget.position)
)
_LISTED = (
    select(Forward.source, Forward.keep_local, ForwardTarget.target)
    .join(ForwardTarget, ForwardTarget.forward_id == Forward.id)
    .order_by(Forward.source, ForwardTarget.position)
)
_LISTED_OF_OWNER = _LISTED.join(Domain, Domain.id == Forward.domain_id).where(Domain.owner_id == bindparam("owner_id"))


class ListedForward(NamedTuple):
    """A rule as lists show it, its targets in the order in which they were given."""

    source: str
    keep_local: bool
    targets: list[str]


def add(ports: Ports, act: Act, *, source: Address, targets: Sequence[Address], keep_local: bool | None = None) -> None:
    """Forward the mail of ``source`` to ``targets`` as well as to those it has already.

    ``keep_local`` None keeps what the rule says, and is False for a new one. ``source`` need not be a mailbox.
    Raises UnknownDomain, ForwardLoop, TooManyTargets.
    """
    wanted = list(dict.fromkeys(str(target) for target in targets))
    with ports.store.writing() as unit:
        domain = scope.domain(unit, act.acting, source.domain)
        if len(wanted) > TARGETS:
            raise TooManyTargets(source=str(source), limit=TARGETS)
        if target := chains.leading_back(unit, str(source), wanted):
            raise ForwardLoop(source=str(source), target=target)
        rule = unit.execute(_RULE, {"source": str(source)}).one_or_none()
        if rule is None:
            forward_id = _insert(unit, domain, source, keep_local or False)
        else:
            forward_id = rule.id
            if keep_local is not None and keep_local != rule.keep_local:
                unit.execute(update(Forward).where(Forward.id == forward_id).values(keep_local=keep_local))
        _add_targets(unit, source, forward_id, wanted)
        audit.done(unit, act, str(source))


def _insert(unit: Connection, domain: scope.ScopedDomain, source: Address, keep_local: bool) -> int:
    row = {"domain_id": domain.id, "source": str(source), "keep_local": keep_local, "created_at": now()}
    return unit.scalars(insert(Forward).returning(Forward.id), row).one()


def _add_targets(unit: Connection, source: Address, forward_id: int, wanted: Sequence[str]) -> None:
    present = {row.target: row.position for row in unit.execute(_TARGETS, {"forward_id": forward_id})}
    new = [target for target in wanted if target not in present]
    if len(present) + len(new) > TARGETS:
        raise TooManyTargets(source=str(source), limit=TARGETS)
    first = max(present.values(), default=0) + 1
    if new:
        rows = [{"forward_id": forward_id, "target": t, "position": p} for p, t in enumerate(new, start=first)]
        unit.execute(insert(ForwardTarget), rows)


def remove(ports: Ports, act: Act, *, source: Address, targets: Sequence[Address] | None = None) -> None:
    """Remove ``targets`` from the rule of ``source``, and the rule with its last one; without ``targets`` the whole
    rule.

    Raises NothingStored (no rule, or somebody else's), NoSuchTarget (then nothing is removed).
    """
    with ports.store.writing() as unit:
        forward_id = _rule_in_scope(unit, act.acting, source)
        if targets is None or not _remove_targets(unit, source, forward_id, {str(target): None for target in targets}):
            unit.execute(delete(Forward).where(Forward.id == forward_id))
        audit.done(unit, act, str(source))


def _rule_in_scope(unit: Connection, acting: PanelUser, source: Address) -> int:
    try:
        scope.domain(unit, acting, source.domain)
    except UnknownDomain:
        raise NothingStored(source=str(source)) from None
    rule = unit.execute(_RULE, {"source": str(source)}).one_or_none()
    if rule is None:
        raise NothingStored(source=str(source))
    return int(rule.id)


def _remove_targets(unit: Connection, source: Address, forward_id: int, unwanted: Iterable[str]) -> int:
    """The number of targets that remain."""
    present = {row.target for row in unit.execute(_TARGETS, {"forward_id": forward_id})}
    for target in unwanted:
        if target not in present:
            raise NoSuchTarget(source=str(source), target=target)
    of_rule = ForwardTarget.forward_id == forward_id
    unit.execute(delete(ForwardTarget).where(of_rule, ForwardTarget.target.in_(list(unwanted))))
    return len(present.difference(unwanted))


def listed(ports: Ports, acting: PanelUser) -> Sequence[ListedForward]:
    """The rules whose source is in the scope of ``acting``, by source."""
    rules: dict[str, ListedForward] = {}
    with ports.store.reading() as unit:
        rows = unit.execute(_LISTED) if acting.is_root else unit.execute(_LISTED_OF_OWNER, {"owner_id": acting.id})
        for source, keep_local, target in rows:
            rules.setdefault(source, ListedForward(source, keep_local, [])).targets.append(target)
    return list(rules.values())
