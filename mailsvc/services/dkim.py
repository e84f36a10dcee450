"""The DKIM keys and records of a domain (RFC 6376): made once, published and withdrawn as often as asked.

A key signs only while its record is published and acknowledged to be so: the view ``dkim_signing_key`` is the one place
that says which. Keys that a rotation is bringing up or winding down are services/dkim_rotation.py's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from mailsvc.core import dkim
from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import AlreadyInThatState
from mailsvc.services import publication, scope
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import DkimKey, DkimRotation, DnsRecord
from mailsvc.store.types import ON, now

COMING = "coming"
GOING = "going"

_KEYS = (
    select(
        DkimKey.id,
        DkimKey.selector,
        DkimKey.algorithm,
        DkimKey.public_key,
        DkimRotation.stage,
        DkimRotation.due_at,
    )
    .outerjoin(DkimRotation, DkimRotation.key_id == DkimKey.id)
    .where(DkimKey.domain_id == bindparam("domain_id"))
    .order_by(DkimKey.id)
)
_PUBLISHED = (
    select(DnsRecord.name, DnsRecord.content, DnsRecord.ttl)
    .where(
        DnsRecord.domain_id == bindparam("domain_id"),
        DnsRecord.purpose == publication.DKIM,
        DnsRecord.enabled == ON,
    )
    .order_by(DnsRecord.id)
)
_FORGET = delete(DkimKey).where(DkimKey.id.in_(bindparam("ids", expanding=True)))
_STAY = delete(DkimRotation).where(DkimRotation.key_id.in_(bindparam("ids", expanding=True)))


class Key(NamedTuple):
    """A key of a domain. ``stage`` is None for one that signs while DKIM is on, else COMING or GOING until
    ``due_at``."""

    id: int
    selector: str
    algorithm: str
    public_key: str
    stage: str | None
    due_at: Any

    def record(self, domain: str) -> TxtRecord:
        """The record that publishes it."""
        return dkim.record(domain, self.selector, self.algorithm, self.public_key)


def enable(ports: Ports, act: Act, *, domain: str) -> None:
    """Publish the domain's keys; the first time a 2048-bit RSA key is made.

    Raises UnknownDomain, AlreadyInThatState, PublishFailed.
    """
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, act.acting, domain)
        has_key = bool(keys(unit, scoped))
    if not has_key:
        _make_first_key(ports, act, scoped)
    publication.switch_all(ports, act, scoped, publication.DKIM, lambda unit: _to_publish(unit, scoped), on=True)


def disable(ports: Ports, act: Act, *, domain: str) -> None:
    """Stop signing and withdraw every record; the newest key of each algorithm is kept, so that it can come back.

    Raises UnknownDomain, AlreadyInThatState, PublishFailed.
    """
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, act.acting, domain)
    publication.switch_all(
        ports,
        act,
        scoped,
        publication.DKIM,
        lambda unit: _to_withdraw(unit, scoped),
        on=False,
        along=lambda unit: _keep_newest(unit, scoped),
    )


def keys(unit: Connection, domain: ScopedDomain) -> Sequence[Key]:
    """Every key of ``domain``, the oldest first."""
    return [Key._make(row) for row in unit.execute(_KEYS, {"domain_id": domain.id})]


def published(unit: Connection, domain: ScopedDomain) -> Sequence[TxtRecord]:
    """The records of keys of ``domain`` that are published."""
    rows = unit.execute(_PUBLISHED, {"domain_id": domain.id})
    return [TxtRecord.from_content(domain.name, row.name, row.content, row.ttl) for row in rows]


def seal_purpose(domain: str, selector: str) -> str:
    """What the private key of a selector is sealed for."""
    return f"dkim:{domain}:{selector}"


def row_of(ports: Ports, domain: ScopedDomain, selector: str, pair: dkim.KeyPair) -> dict[str, Any]:
    """A new key as it is stored, its private half sealed."""
    return {
        "domain_id": domain.id,
        "selector": selector,
        "algorithm": pair.algorithm,
        "private_key": ports.seals.seal(seal_purpose(domain.name, selector), pair.private_key),
        "public_key": pair.public_key,
        "created_at": now(),
    }


def forget(unit: Connection, gone: Sequence[Key]) -> None:
    """Destroy keys that will never sign again."""
    if gone:
        unit.execute(_FORGET, {"ids": [key.id for key in gone]})


def let_sign(unit: Connection, coming: Sequence[Key]) -> None:
    """Let keys sign that were being brought up."""
    if coming:
        unit.execute(_STAY, {"ids": [key.id for key in coming]})


def _make_first_key(ports: Ports, act: Act, domain: ScopedDomain) -> None:
    # Made and sealed before the transaction: this takes a tenth of a second and more.
    row = row_of(ports, domain, ports.settings.dkim_selector, dkim.new_rsa_pair())
    with ports.store.writing() as unit:
        scope.same(unit, act.acting, domain)
        # Another caller may have been first; his key is then the domain's.
        if not keys(unit, domain):
            unit.execute(insert(DkimKey), row)


def _to_publish(unit: Connection, domain: ScopedDomain) -> Sequence[TxtRecord]:
    there = {record.name for record in published(unit, domain)}
    records = [key.record(domain.name) for key in keys(unit, domain) if key.stage is None]
    missing = [record for record in records if record.name not in there]
    if not missing:
        raise AlreadyInThatState(domain=domain.name)
    return missing


def _to_withdraw(unit: Connection, domain: ScopedDomain) -> Sequence[TxtRecord]:
    records = published(unit, domain)
    if not records:
        raise AlreadyInThatState(domain=domain.name)
    return records


def _keep_newest(unit: Connection, domain: ScopedDomain) -> None:
    """End every rotation of ``domain`` as if it had come to its end."""
    present = keys(unit, domain)
    coming = [key for key in present if key.stage == COMING]
    succeeded = {key.algorithm for key in coming}
    forget(unit, [key for key in present if key.stage == GOING])
    forget(unit, [key for key in present if key.stage is None and key.algorithm in succeeded])
    let_sign(unit, coming)
