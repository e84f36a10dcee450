"""The DKIM key and record of a domain (RFC 6376): made once, published and withdrawn as often as asked."""

from sqlalchemy import Connection, bindparam, insert, select

from mailsvc.core import dkim
from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import AlreadyInThatState
from mailsvc.services import publication, scope
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import DkimKey
from mailsvc.store.types import now

_KEY = (
    select(DkimKey.selector, DkimKey.algorithm, DkimKey.public_key)
    .where(DkimKey.domain_id == bindparam("domain_id"))
    .order_by(DkimKey.id)
    .limit(1)
)


def enable(ports: Ports, act: Act, *, domain: str) -> None:
    """Publish the domain's key; the first time a 2048-bit RSA key is made.

    Raises UnknownDomain, AlreadyInThatState, PublishFailed.
    """
    scoped, record = _found(ports, act, domain)
    if record is None:
        record = _with_new_key(ports, act, scoped)
    publication.switch(ports, act, scoped, publication.DKIM, record, on=True)


def disable(ports: Ports, act: Act, *, domain: str) -> None:
    """Withdraw the record and keep the key, so that the same record can come back.

    Raises UnknownDomain, AlreadyInThatState, PublishFailed.
    """
    scoped, record = _found(ports, act, domain)
    if record is None:
        raise AlreadyInThatState(domain=domain)
    publication.switch(ports, act, scoped, publication.DKIM, record, on=False)


def record(unit: Connection, domain: ScopedDomain) -> TxtRecord | None:
    """The record that ``domain`` should have, or None while it has no key."""
    key = unit.execute(_KEY, {"domain_id": domain.id}).one_or_none()
    return None if key is None else dkim.record(domain.name, key.selector, key.algorithm, key.public_key)


def seal_purpose(domain: str, selector: str) -> str:
    """What the private key of a selector is sealed for."""
    return f"dkim:{domain}:{selector}"


def _found(ports: Ports, act: Act, name: str) -> tuple[ScopedDomain, TxtRecord | None]:
    with ports.store.reading() as unit:
        domain = scope.domain(unit, act.acting, name)
        return domain, record(unit, domain)


def _with_new_key(ports: Ports, act: Act, domain: ScopedDomain) -> TxtRecord:
    # Made and sealed before the transaction: this takes a tenth of a second and more.
    pair, selector = dkim.new_rsa_pair(), ports.settings.dkim_selector
    row = {
        "domain_id": domain.id,
        "selector": selector,
        "algorithm": pair.algorithm,
        "private_key": ports.seals.seal(seal_purpose(domain.name, selector), pair.private_key),
        "public_key": pair.public_key,
        "created_at": now(),
    }
    with ports.store.writing() as unit:
        scope.same(unit, act.acting, domain)
        # Another caller may have been first; his key is then the domain's.
        if (existing := record(unit, domain)) is not None:
            return existing
        unit.execute(insert(DkimKey), row)
    return dkim.record(domain.name, selector, pair.algorithm, pair.public_key)
