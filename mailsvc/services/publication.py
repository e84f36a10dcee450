"""Switching a DNS record of a domain on and off, honestly.

The change has an effect outside the store, so it goes in three steps: claim the record (a short transaction), publish
or withdraw with no lock held, acknowledge (a short transaction). If the middle fails, the world is put back as it was
and the caller is refused. Whatever cuts this short leaves the record *unsettled*, with the last acknowledged state on
file, and ``reconcile`` makes the world equal to that.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import AlreadyInThatState, PublishFailed
from mailsvc.dns import TIME_LIMIT
from mailsvc.services import audit, scope
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import DnsRecord, Domain
from mailsvc.store.types import OFF, ON, now

Found = Any
"""A row of _ROW."""

log = logging.getLogger("mailsvc.publication")

SPF = "spf"
DKIM = "dkim"

LEASE = timedelta(seconds=2 * TIME_LIMIT + 5)
"""How long a claim holds: time for the change and for taking it back."""

PATIENCE = 0.8
"""Seconds to wait for another caller who is changing the same record just now."""

_ROW = select(DnsRecord.__table__, Domain.name.label("zone")).join(Domain, Domain.id == DnsRecord.domain_id)
_ONE = _ROW.where(
    DnsRecord.domain_id == bindparam("domain_id"),
    DnsRecord.purpose == bindparam("purpose"),
    DnsRecord.name == bindparam("name"),
)
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
    """What ``reconcile`` did about one record. ``failure`` is why it could not, or None."""

    name: str
    enabled: bool
    failure: str | None


def switch(ports: Ports, act: Act, domain: ScopedDomain, purpose: str, record: TxtRecord, *, on: bool) -> None:
    """Publish ``record`` for ``domain``, or withdraw what was published under its name.

    Raises AlreadyInThatState, UnknownDomain (removed or given away meanwhile), PublishFailed (the state is what it
    was).
    """
    claim = _claim(ports, act, domain, purpose, record, on=on)
    _carry_out(ports, claim, on=on)
    with _unsettled_if_lost(ports, claim), ports.store.writing() as unit:
        _acknowledge(unit, claim, enabled=on)
        audit.done(unit, act, domain.name)


def withdraw_all(ports: Ports, domain: ScopedDomain) -> None:
    """Take every record of ``domain`` out of DNS. Raises PublishFailed."""
    with ports.store.reading() as unit:
        live = unit.execute(_LIVE, {"domain_id": domain.id}).all()
    for record_id, _ in live:
        claim = _claim_live(ports, record_id)
        if claim is not None:
            _carry_out(ports, claim, on=False)
            with _unsettled_if_lost(ports, claim), ports.store.writing() as unit:
                _acknowledge(unit, claim, enabled=False)


def refuse_live(unit: Connection, domain: ScopedDomain) -> None:
    """Raises Busy if a record of ``domain`` is, or may be, in DNS."""
    live = unit.execute(_LIVE, {"domain_id": domain.id}).first()
    if live is not None:
        raise Busy(name=live.name, reason="another caller has switched this record on meanwhile")


def reconcile(ports: Ports, *, at_start: bool = False) -> Sequence[Settled]:
    """Make DNS equal to the acknowledged state for every record that an interrupted change left unsettled.

    Records that somebody is at work on are left to him; ``at_start`` of the service nobody is believed to be. Should
    somebody be all the same, he finds his claim lost and refuses.
    """
    with ports.store.reading() as unit:
        rows = unit.execute(_UNSETTLED).all()
    return [_settled(ports, row, take_over=at_start) for row in rows if at_start or not _is_busy(row)]


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
        claim = _claimed(unit, row)
    try:
        _effect(ports, claim, on=claim.enabled)
    except PublishFailed:
        _release(ports, claim, settled=False)
        raise
    _release(ports, claim, settled=True)


def _claim(ports: Ports, act: Act, domain: ScopedDomain, purpose: str, record: TxtRecord, *, on: bool) -> Claim:
    key = {"domain_id": domain.id, "purpose": purpose, "name": record.name}
    deadline = time.monotonic() + PATIENCE
    while True:
        with ports.store.writing() as unit:
            scope.same(unit, act.acting, domain)
            row = unit.execute(_ONE, key).one_or_none()
            if row is None or row.settled:
                return _take(unit, domain, purpose, record, row, on=on)
        if _is_busy(row):
            _wait(record.name, deadline)
        else:
            # What an interrupted change left in the world goes first; it may be another text than this one.
            _settle(ports, row.id)


def _claim_live(ports: Ports, record_id: int) -> Claim | None:
    """The right to withdraw a record, or None when it is withdrawn by now."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with ports.store.writing() as unit:
            row = unit.execute(_BY_ID, {"id": record_id}).one_or_none()
            if row is None or (row.settled and not row.enabled):
                return None
            if not _is_busy(row):
                return _claimed(unit, row)
        _wait(row.name, deadline)


def _wait(name: str, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Busy(name=name, reason="another change of this record is under way")
    time.sleep(0.02)


def _take(
    unit: Connection, domain: ScopedDomain, purpose: str, record: TxtRecord, row: Found | None, *, on: bool
) -> Claim:
    if on == (row is not None and row.enabled):
        raise AlreadyInThatState(domain=domain.name)
    if row is None:
        until = now() + LEASE
        return Claim(_insert(unit, domain, purpose, record, until), domain.id, until, False, record)
    if on:
        unit.execute(update(DnsRecord).where(DnsRecord.id == row.id).values(content=record.content, ttl=record.ttl))
        row = unit.execute(_BY_ID, {"id": row.id}).one()
    return _claimed(unit, row)


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


def _claimed(unit: Connection, row: Found) -> Claim:
    """A claim on a record as it is on file."""
    until = now() + LEASE
    unit.execute(update(DnsRecord).where(DnsRecord.id == row.id).values(settled=False, busy_until=until))
    record = TxtRecord.from_content(row.zone, row.name, row.content, row.ttl)
    return Claim(row.id, row.domain_id, until, row.enabled, record)


def _is_busy(row: Found) -> bool:
    return row.busy_until is not None and row.busy_until > now()


def _carry_out(ports: Ports, claim: Claim, *, on: bool) -> None:
    try:
        _effect(ports, claim, on=on)
    except PublishFailed as refusal:
        log.warning("%s %s: %s", "publishing" if on else "withdrawing", claim.record.name, refusal.facts.get("reason"))
        _take_back(ports, claim)
        raise


def _effect(ports: Ports, claim: Claim, *, on: bool) -> None:
    if on:
        ports.dns.publish(claim.record)
    else:
        ports.dns.withdraw(claim.record)


def _take_back(ports: Ports, claim: Claim) -> None:
    # After a failure it is unknown how much of the change reached the world.
    try:
        _effect(ports, claim, on=claim.enabled)
    except PublishFailed:
        _release(ports, claim, settled=False)
    else:
        _release(ports, claim, settled=True)


def _release(ports: Ports, claim: Claim, *, settled: bool) -> None:
    with _unsettled_if_lost(ports, claim), ports.store.writing() as unit:
        _finish(unit, claim, settled=settled)


def _acknowledge(unit: Connection, claim: Claim, *, enabled: bool) -> None:
    _finish(unit, claim, enabled=enabled, settled=True)
    unit.execute(update(Domain).where(Domain.id == claim.domain_id).values(zone_serial=Domain.zone_serial + 1))


def _finish(unit: Connection, claim: Claim, **values: bool) -> None:
    mine = update(DnsRecord).where(DnsRecord.id == claim.id, DnsRecord.busy_until == claim.until)
    if not unit.execute(mine.values(busy_until=None, **values)).rowcount:
        raise Busy(name=claim.record.name, reason="another change of this record came in between")


@contextmanager
def _unsettled_if_lost(ports: Ports, claim: Claim) -> Iterator[None]:
    """When the claim was lost, nobody can tell whose effect came last: whoever took it over loses it as well."""
    try:
        yield
    except Busy:
        with ports.store.writing() as unit:
            there = unit.execute(
                update(DnsRecord).where(DnsRecord.id == claim.id).values(settled=False, busy_until=None)
            ).rowcount
        if not there:
            # The domain is gone, and with it what reconcile would go by.
            ports.dns.withdraw(claim.record)
        raise
