"""Switching a DNS record of a domain on and off, honestly.

The change has an effect outside the store, so it goes in three steps: claim the record (a short transaction), publish
or withdraw with no lock held, acknowledge (a short transaction). If the middle fails, the world is put back as it was
and the caller is refused. Whatever cuts this short leaves the record *unsettled*, with the last acknowledged state on
file, and ``reconcile`` makes the world equal to that.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import AlreadyInThatState, PublishFailed, Refusal, TooBusy
from mailsvc.dns import TIME_LIMIT
from mailsvc.services import audit, scope
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.engine import AGAIN_SECONDS
from mailsvc.store.models import DnsRecord, Domain
from mailsvc.store.types import OFF, ON, now

Found = Any
"""A row of _ROW."""

log = logging.getLogger("mailsvc.publication")

SPF = "spf"
DKIM = "dkim"

LEASE = timedelta(seconds=2 * TIME_LIMIT + 5)
"""How long a claim on one record holds: time for the change and for taking it back."""

PATIENCE = 0.8
"""Seconds to wait for another caller who is changing the same record just now."""

_ROW = select(DnsRecord.__table__, Domain.name.label("zone")).join(Domain, Domain.id == DnsRecord.domain_id)
_OF_PURPOSE = _ROW.where(
    DnsRecord.domain_id == bindparam("domain_id"), DnsRecord.purpose == bindparam("purpose")
).order_by(DnsRecord.id)
_BY_ID = _ROW.where(DnsRecord.id == bindparam("id"))
_UNSETTLED = _ROW.where(DnsRecord.settled == OFF).order_by(DnsRecord.id)
_LIVE = (
    select(DnsRecord.id, DnsRecord.name)
    .where(DnsRecord.domain_id == bindparam("domain_id"), or_(DnsRecord.enabled == ON, DnsRecord.settled == OFF))
    .order_by(DnsRecord.id)
)


class Busy(PublishFailed):
    """Somebody else is changing the record just now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to change one record until ``until``. ``enabled`` is the state last acknowledged to a caller."""

    id: int
    domain_id: int
    until: datetime
    enabled: bool
    record: TxtRecord


@dataclass(frozen=True, slots=True)
class Settled:
    """What ``reconcile`` did about one record. ``failure`` is why it could not, or None.

    ``under_way``: nothing yet, because somebody is at work on it, or was until at most LEASE ago.
    """

    name: str
    enabled: bool
    failure: str | None
    under_way: bool = False


def switch(ports: Ports, act: Act, domain: ScopedDomain, purpose: str, record: TxtRecord, *, on: bool) -> None:
    """Publish ``record`` for ``domain``, or withdraw what was published under its name.

    Raises AlreadyInThatState, UnknownDomain (removed or given away meanwhile), PublishFailed (the state is what it
    was).
    """
    switch_all(ports, act, domain, purpose, lambda _unit: [record], on=on)


def switch_all(
    ports: Ports,
    act: Act,
    domain: ScopedDomain,
    purpose: str,
    wanted: Callable[[Connection], Sequence[TxtRecord]],
    *,
    on: bool,
    along: Callable[[Connection], None] | None = None,
) -> None:
    """The same for several records of one purpose at once, all or none.

    ``wanted`` names them, in the transaction that claims them and once every record of the purpose is settled; it may
    refuse. ``along`` writes what becomes true together with the change, in the transaction that acknowledges it.
    """
    claims = _claim(ports, act, domain, purpose, wanted, on=on)
    _carry_out(ports, claims, on=on)
    with _undone_if_broken(ports, claims), _unsettled_if_lost(ports, claims), ports.store.writing() as unit:
        _acknowledge(unit, claims, enabled=on)
        if along is not None:
            along(unit)
        audit.done(unit, act, domain.name)


def withdraw_all(ports: Ports, domain: ScopedDomain) -> None:
    """Take every record of ``domain`` out of DNS. Raises PublishFailed."""
    with ports.store.reading() as unit:
        live = unit.execute(_LIVE, {"domain_id": domain.id}).all()
    for record_id, _ in live:
        claim = _claim_live(ports, record_id)
        if claim is not None:
            _carry_out(ports, [claim], on=False)
            with _undone_if_broken(ports, [claim]), _unsettled_if_lost(ports, [claim]), ports.store.writing() as unit:
                _acknowledge(unit, [claim], enabled=False)


def refuse_live(unit: Connection, domain: ScopedDomain) -> None:
    """Raises Busy if a record of ``domain`` is, or may be, in DNS."""
    live = unit.execute(_LIVE, {"domain_id": domain.id}).first()
    if live is not None:
        raise Busy(name=live.name, reason="another caller has switched this record on meanwhile")


def reconcile(ports: Ports, *, at_start: bool = False) -> Sequence[Settled]:
    """Make DNS equal to the acknowledged state for every record that an interrupted change left unsettled.

    Records that somebody is at work on are left to him, and named; ``at_start`` of the service nobody is believed to
    be. Should somebody be all the same, he finds his claim lost and refuses.
    """
    with ports.store.reading() as unit:
        rows = unit.execute(_UNSETTLED).all()
    return [_settled(ports, row, take_over=at_start) if at_start or not _is_busy(row) else _left(row) for row in rows]


def _left(row: Found) -> Settled:
    return Settled(row.name, row.enabled, None, under_way=True)


def _settled(ports: Ports, row: Found, *, take_over: bool) -> Settled:
    try:
        _settle(ports, row.id, take_over=take_over)
    except PublishFailed as refusal:
        log.warning("record %s is unsettled: %s", row.name, refusal.facts.get("reason"))
        return Settled(row.name, row.enabled, str(refusal.facts.get("reason")))
    return Settled(row.name, row.enabled, None)


def _settle(ports: Ports, record_id: int, *, take_over: bool = False) -> None:
    """Make the world equal to what was last acknowledged, unless that is so or somebody is at work on it.

    Raises PublishFailed.
    """
    with ports.store.writing() as unit:
        row = unit.execute(_BY_ID, {"id": record_id}).one_or_none()
        if row is None or row.settled or (_is_busy(row) and not take_over):
            return
        claim = _claimed(unit, row, now() + LEASE)
    try:
        _effect(ports, claim, on=claim.enabled)
    except PublishFailed:
        _release(ports, claim, settled=False)
        raise
    _release(ports, claim, settled=True)


def _claim(
    ports: Ports,
    act: Act,
    domain: ScopedDomain,
    purpose: str,
    wanted: Callable[[Connection], Sequence[TxtRecord]],
    *,
    on: bool,
) -> Sequence[Claim]:
    deadline = time.monotonic() + PATIENCE
    while True:
        with ports.store.writing() as unit:
            scope.same(unit, act.acting, domain)
            rows = unit.execute(_OF_PURPOSE, {"domain_id": domain.id, "purpose": purpose}).all()
            unsettled = next((row for row in rows if not row.settled), None)
            if unsettled is None:
                records, known = wanted(unit), {row.name: row for row in rows}
                until = now() + LEASE * len(records)
                return [_take(unit, domain, purpose, record, known, until, on=on) for record in records]
        if _is_busy(unsettled):
            _wait(unsettled.name, deadline)
        else:
            # What an interrupted change left in the world goes first; it may be another text than this one.
            _settle(ports, unsettled.id)


def _claim_live(ports: Ports, record_id: int) -> Claim | None:
    """The right to withdraw a record, or None when it is withdrawn by now."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with ports.store.writing() as unit:
            row = unit.execute(_BY_ID, {"id": record_id}).one_or_none()
            if row is None or (row.settled and not row.enabled):
                return None
            if not _is_busy(row):
                return _claimed(unit, row, now() + LEASE)
        _wait(row.name, deadline)


def _wait(name: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Busy(name=name, reason="another change of this record is under way")
    time.sleep(0.02)


def _take(
    unit: Connection,
    domain: ScopedDomain,
    purpose: str,
    record: TxtRecord,
    known: Mapping[str, Found],
    until: datetime,
    *,
    on: bool,
) -> Claim:
    row = known.get(record.name)
    if on == (row is not None and row.enabled):
        raise AlreadyInThatState(domain=domain.name)
    if row is None:
        return Claim(_insert(unit, domain, purpose, record, until), domain.id, until, False, record)
    if on:
        unit.execute(update(DnsRecord).where(DnsRecord.id == row.id).values(content=record.content, ttl=record.ttl))
        row = unit.execute(_BY_ID, {"id": row.id}).one()
    return _claimed(unit, row, until)


def _insert(unit: Connection, domain: ScopedDomain, purpose: str, record: TxtRecord, until: datetime) -> int:
    row = {
        "domain_id": domain.id,
        "purpose": purpose,
        "name": record.name,
        "parent": record.name.split(".", 1)[1] if record.name != record.zone else None,
        "content": record.content,
        "ttl": record.ttl,
        "enabled": False,
        "settled": False,
        "busy_until": until,
    }
    return unit.scalars(insert(DnsRecord).returning(DnsRecord.id), row).one()


def _claimed(unit: Connection, row: Found, until: datetime) -> Claim:
    """A claim on a record as it is on file."""
    unit.execute(update(DnsRecord).where(DnsRecord.id == row.id).values(settled=False, busy_until=until))
    record = TxtRecord.from_content(row.zone, row.name, row.content, row.ttl)
    return Claim(row.id, row.domain_id, until, row.enabled, record)


def _is_busy(row: Found) -> bool:
    return row.busy_until is not None and row.busy_until > now()


def _carry_out(ports: Ports, claims: Sequence[Claim], *, on: bool) -> None:
    for claim in claims:
        try:
            _effect(ports, claim, on=on)
        except PublishFailed as refusal:
            what, reason = "publishing" if on else "withdrawing", refusal.facts.get("reason")
            log.warning("%s %s: %s", what, claim.record.name, reason)
            _take_back(ports, claims)
            raise


def _effect(ports: Ports, claim: Claim, *, on: bool) -> None:
    change = ports.dns.publish if on else ports.dns.withdraw
    if ports.settings.dns == "database":
        change(claim.record)
        return
    # A name server that is silent, or a slow reload, takes seconds: others need the thread.
    try:
        with ports.outgoing.turn():
            change(claim.record)
    except TooBusy:
        raise PublishFailed(name=claim.record.name, reason="too many other changes are under way") from None


def _take_back(ports: Ports, claims: Sequence[Claim]) -> None:
    # After a failure it is unknown how much of the change reached the world.
    lost: Busy | None = None
    for claim in claims:
        try:
            _put_back(ports, claim)
        except Busy as refusal:
            lost = refusal
    if lost is not None:
        raise lost


def _put_back(ports: Ports, claim: Claim, patience: float | None = None) -> None:
    try:
        _effect(ports, claim, on=claim.enabled)
    except PublishFailed:
        _release(ports, claim, settled=False, patience=patience)
    else:
        _release(ports, claim, settled=True, patience=patience)


@contextmanager
def _undone_if_broken(ports: Ports, claims: Sequence[Claim]) -> Iterator[None]:
    """When the store does not take an acknowledgement, the change is taken back in the world as well."""
    try:
        yield
    except Refusal:
        raise
    except Exception:
        for claim in claims:
            try:
                _undo(ports, claim)
            except Exception as error:
                log.warning("%s is left to reconcile: %s", claim.record.name, type(error).__name__)
        raise


def _undo(ports: Ports, claim: Claim) -> None:
    with ports.store.reading() as unit:
        row = unit.execute(_BY_ID, {"id": claim.id}).one_or_none()
    # Else it was acknowledged after all, and only the store's word for it was lost; or it is somebody else's by now.
    if row is not None and row.busy_until == claim.until:
        _put_back(ports, claim, AGAIN_SECONDS)


def _release(ports: Ports, claim: Claim, *, settled: bool, patience: float | None = None) -> None:
    with _unsettled_if_lost(ports, [claim]), ports.store.writing(patience) as unit:
        _finish(unit, claim, settled=settled)


def _acknowledge(unit: Connection, claims: Sequence[Claim], *, enabled: bool) -> None:
    for claim in claims:
        _finish(unit, claim, enabled=enabled, settled=True)
    unit.execute(update(Domain).where(Domain.id == claims[0].domain_id).values(zone_serial=Domain.zone_serial + 1))


def _finish(unit: Connection, claim: Claim, **values: bool) -> None:
    mine = update(DnsRecord).where(DnsRecord.id == claim.id, DnsRecord.busy_until == claim.until)
    if not unit.execute(mine.values(busy_until=None, **values)).rowcount:
        raise Busy(name=claim.record.name, reason="another change of this record came in between")


@contextmanager
def _unsettled_if_lost(ports: Ports, claims: Sequence[Claim]) -> Iterator[None]:
    """When a claim was lost, nobody can tell whose effect came last: whoever took it over loses it as well."""
    try:
        yield
    except Busy:
        for claim in claims:
            _give_up(ports, claim)
        raise


def _give_up(ports: Ports, claim: Claim) -> None:
    with ports.store.writing() as unit:
        there = unit.execute(
            update(DnsRecord).where(DnsRecord.id == claim.id).values(settled=False, busy_until=None)
        ).rowcount
    if not there:
        # The domain is gone, and with it what reconcile would go by.
        ports.dns.withdraw(claim.record)
