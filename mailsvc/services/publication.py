"""Switching a DNS record of a domain on and off, honestly.

The change has an effect outside the store, so it goes in three steps: claim the record (a short transaction), publish
or withdraw with no lock held, acknowledge (a short transaction). If the middle fails, the world is put back as it was
and the caller is refused. Whatever cuts this short leaves the record *unsettled*, with the last acknowledged state on
file, and ``reconcile`` makes the world equal to that.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Update, bindparam, insert, select, update
from sqlalchemy import Row as Found

from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import AlreadyInThatState, PublishFailed
from mailsvc.dns import TIME_LIMIT
from mailsvc.services import audit
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import DnsRecord, Domain
from mailsvc.store.types import OFF, now

log = logging.getLogger("mailsvc.publication")

SPF = "spf"
DKIM = "dkim"

LEASE = timedelta(seconds=4 * TIME_LIMIT + 5)
"""How long a claim holds: time for the change and for taking it back, each with what an interrupted one left over."""

PATIENCE = 0.8
"""Seconds to wait for another caller who is changing the same record just now."""

_ROW = select(DnsRecord.__table__, Domain.name.label("zone")).join(Domain, Domain.id == DnsRecord.domain_id)
_ONE = _ROW.where(
    DnsRecord.domain_id == bindparam("domain_id"),
    DnsRecord.purpose == bindparam("purpose"),
    DnsRecord.name == bindparam("name"),
)
_OF_DOMAIN = _ROW.where(DnsRecord.domain_id == bindparam("domain_id")).order_by(DnsRecord.id)
_UNSETTLED = _ROW.where(DnsRecord.settled == OFF).order_by(DnsRecord.id)
_BY_ID = _ROW.where(DnsRecord.id == bindparam("id"))


class Busy(PublishFailed):
    """Somebody else is changing the record just now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to change one record until ``until``. ``enabled`` is the state last acknowledged to a caller.

    ``leftover`` is an older value that an interrupted change may have left in DNS.
    """

    id: int
    domain_id: int
    until: datetime
    enabled: bool
    record: TxtRecord
    leftover: TxtRecord | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What ``reconcile`` did about one record. ``failure`` is why it could not, or None."""

    name: str
    enabled: bool
    failure: str | None


def switch(ports: Ports, act: Act, domain: ScopedDomain, purpose: str, record: TxtRecord, *, on: bool) -> None:
    """Publish ``record`` for ``domain``, or withdraw what was published under its name.

    Raises AlreadyInThatState, PublishFailed (the state is what it was).
    """
    claim = _claim(ports, domain, purpose, record, on=on)
    _carry_out(ports, claim, on=on)
    with ports.store.writing() as unit:
        _acknowledge(unit, claim, enabled=on)
        audit.done(unit, act, domain.name)


def withdraw_all(ports: Ports, domain: ScopedDomain) -> None:
    """Take every record of ``domain`` out of DNS. Raises PublishFailed."""
    with ports.store.reading() as unit:
        rows = unit.execute(_OF_DOMAIN, {"domain_id": domain.id}).all()
    for row in rows:
        if row.enabled or not row.settled:
            claim = _claim_row(ports, row.id)
            _carry_out(ports, claim, on=False)
            with ports.store.writing() as unit:
                _acknowledge(unit, claim, enabled=False)


def reconcile(ports: Ports, *, at_start: bool = False) -> Sequence[Settled]:
    """Make DNS equal to the acknowledged state for every record that an interrupted change left unsettled.

    Records that somebody is at work on are left to him; ``at_start`` of the service nobody is believed to be. Should
    somebody be all the same, he finds his claim lost and refuses.
    """
    with ports.store.reading() as unit:
        rows = unit.execute(_UNSETTLED).all()
    return [_settle(ports, row) for row in rows if at_start or not _is_busy(row)]


def _settle(ports: Ports, row: Found[Any]) -> Settled:
    claim = _claim_row(ports, row.id, busy_too=True)
    try:
        _effect(ports, claim, on=claim.enabled)
    except PublishFailed as refusal:
        _release(ports, claim, settled=False)
        log.error("record %s is unsettled: %s", row.name, refusal.facts.get("reason"))
        return Settled(row.name, claim.enabled, str(refusal.facts.get("reason")))
    _release(ports, claim, settled=True)
    return Settled(row.name, claim.enabled, None)


def _claim(ports: Ports, domain: ScopedDomain, purpose: str, record: TxtRecord, *, on: bool) -> Claim:
    for _ in _attempts():
        with ports.store.writing() as unit:
            key = {"domain_id": domain.id, "purpose": purpose, "name": record.name}
            row = unit.execute(_ONE, key).one_or_none()
            if row is None or not _is_busy(row):
                return _take(unit, domain, purpose, record, row, on=on)
    raise Busy(name=record.name, reason="another change of this record is under way")


def _attempts() -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE
    yield
    while time.monotonic() < deadline:
        time.sleep(0.02)
        yield


def _take(
    unit: Connection, domain: ScopedDomain, purpose: str, record: TxtRecord, row: Found[Any] | None, *, on: bool
) -> Claim:
    until = now() + LEASE
    if row is None:
        if not on:
            raise AlreadyInThatState(domain=domain.name)
        return Claim(_insert(unit, domain, purpose, record, until), domain.id, until, False, record)
    # An unsettled record is in neither state for certain: the change is carried out, and settles it.
    if row.enabled == on and row.settled:
        raise AlreadyInThatState(domain=domain.name)
    stored = _stored(row)
    wanted = record if on and not row.enabled else stored
    leftover = stored if not row.settled and stored != wanted else None
    _mark(unit, row.id, until, content=wanted.content, ttl=wanted.ttl)
    return Claim(row.id, domain.id, until, row.enabled, wanted, leftover)


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


def _claim_row(ports: Ports, record_id: int, *, busy_too: bool = False) -> Claim:
    for _ in _attempts():
        with ports.store.writing() as unit:
            row = unit.execute(_BY_ID, {"id": record_id}).one()
            if busy_too or not _is_busy(row):
                until = now() + LEASE
                _mark(unit, row.id, until)
                return Claim(row.id, row.domain_id, until, row.enabled, _stored(row))
    raise Busy(name=row.name, reason="another change of this record is under way")


def _mark(unit: Connection, record_id: int, until: datetime, **values: object) -> None:
    statement = update(DnsRecord).where(DnsRecord.id == record_id)
    unit.execute(statement.values(settled=False, busy_until=until, **values))


def _is_busy(row: Found[Any]) -> bool:
    return row.busy_until is not None and row.busy_until > now()


def _stored(row: Found[Any]) -> TxtRecord:
    return TxtRecord.from_content(row.zone, row.name, row.content, row.ttl)


def _carry_out(ports: Ports, claim: Claim, *, on: bool) -> None:
    try:
        _effect(ports, claim, on=on)
    except PublishFailed as refusal:
        log.warning("%s %s: %s", "publishing" if on else "withdrawing", claim.record.name, refusal.facts.get("reason"))
        _take_back(ports, claim)
        raise


def _effect(ports: Ports, claim: Claim, *, on: bool) -> None:
    if claim.leftover is not None:
        ports.dns.withdraw(claim.leftover)
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
    with ports.store.writing() as unit:
        unit.execute(_mine(claim).values(settled=settled, busy_until=None))


def _acknowledge(unit: Connection, claim: Claim, *, enabled: bool) -> None:
    if not unit.execute(_mine(claim).values(enabled=enabled, settled=True, busy_until=None)).rowcount:
        raise Busy(name=claim.record.name, reason="another change of this record came in between")
    unit.execute(update(Domain).where(Domain.id == claim.domain_id).values(zone_serial=Domain.zone_serial + 1))


def _mine(claim: Claim) -> Update:
    """The record, if the claim still holds."""
    return update(DnsRecord).where(DnsRecord.id == claim.id, DnsRecord.busy_until == claim.until)
