"""Changing the DKIM keys of a domain without a message that does not verify.

A new key is *coming*: its record is published beside the old one's, and it does not sign yet. It may be that a resolver
somewhere still remembers that there was no such record, or that a secondary name server is late. So it signs once

- SETTLING has passed since the record was published (as long as a negative answer is remembered), and
- the record is what a real DNS look-up finds (setting ``resolver``).

From that commit on the old key is *going*: it does not sign, and its record stays for GRACE, because messages that it
signed may be on their way for days. Then the record is withdrawn and the key destroyed. All of this is in the store:
``continue_all`` goes on wherever it stands, however often it is called, and whoever was killed before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, bindparam, insert, select

from mailsvc.core import dkim as keys_of_dkim
from mailsvc.core.acts import Act
from mailsvc.core.dns_records import DEFAULT_TTL, TxtRecord
from mailsvc.core.refusals import AlreadyExists, AlreadyInThatState, NoDkimKey, PublishFailed, RotationUnderWay
from mailsvc.dns import lookup
from mailsvc.services import audit, dkim, publication, scope
from mailsvc.services.dkim import COMING, GOING, Key
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import DkimKey, DkimRotation, DnsRecord, Domain
from mailsvc.store.types import now

SETTLING = timedelta(seconds=DEFAULT_TTL)
"""How long somebody may still believe that a new record is not there (RFC 2308, section 5: the SOA's minimum)."""

GRACE = timedelta(days=7)
"""How long the record of a key that signs no more stays: longer than the five days a message may wait in a queue."""

_USED = select(DnsRecord.name).where(
    DnsRecord.domain_id == bindparam("domain_id"), DnsRecord.purpose == publication.DKIM
)
_DUE = (
    select(Domain.name)
    .join(DkimKey, DkimKey.domain_id == Domain.id)
    .join(DkimRotation, DkimRotation.key_id == DkimKey.id)
    .where(DkimRotation.due_at <= bindparam("at"))
    .distinct()
    .order_by(Domain.name)
)


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one key: it ``signs``, is ``withdrawn``, or ``waits`` for the reason given."""

    domain: str
    selector: str
    outcome: str
    reason: str | None = None


def rotate(ports: Ports, act: Act, *, domain: str) -> None:
    """Bring up a successor of every key of ``domain``; while DKIM is off, replace the keys at once.

    Raises UnknownDomain, NoDkimKey, RotationUnderWay, PublishFailed (then nothing has changed).
    """
    scoped, present, is_on = _look(ports, act, domain)
    algorithms = [key.algorithm for key in present if key.stage is None]
    _bring_up(ports, act, scoped, algorithms, is_on=is_on)


def add(ports: Ports, act: Act, *, domain: str, algorithm: str) -> None:
    """Bring up a key of another algorithm beside those there are.

    Raises UnknownDomain, NoDkimKey (there has to be an RSA key first), AlreadyExists, PublishFailed.
    """
    scoped, present, is_on = _look(ports, act, domain)
    if any(key.algorithm == algorithm and key.stage != GOING for key in present):
        raise AlreadyExists(key=f"a key for {algorithm}", domain=f"of {scoped.name}")
    _bring_up(ports, act, scoped, [algorithm], is_on=is_on)


def remove(ports: Ports, act: Act, *, domain: str, algorithm: str) -> None:
    """Sign with ``algorithm`` no more; the record is withdrawn after GRACE, or is so already while DKIM is off.

    Raises UnknownDomain, NoDkimKey, RotationUnderWay, and NoDkimKey too when no other key would be left.
    """
    with ports.store.writing() as unit:
        scoped = scope.domain(unit, act.acting, domain)
        present = dkim.keys(unit, scoped)
        _refuse_coming(scoped, present)
        leaving = [key for key in present if key.stage is None and key.algorithm == algorithm]
        if not leaving or len(leaving) == len([key for key in present if key.stage is None]):
            raise NoDkimKey(domain=scoped.name)
        _let_go(unit, scoped, leaving)
        audit.done(unit, act, scoped.name)


def _look(ports: Ports, act: Act, name: str) -> tuple[ScopedDomain, Sequence[Key], bool]:
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, act.acting, name)
        present, is_on = dkim.keys(unit, scoped), bool(dkim.published(unit, scoped))
    if not present:
        raise NoDkimKey(domain=scoped.name)
    _refuse_coming(scoped, present)
    return scoped, present, is_on


def _refuse_coming(domain: ScopedDomain, present: Sequence[Key]) -> None:
    if any(key.stage == COMING for key in present):
        raise RotationUnderWay(domain=domain.name)


def _bring_up(ports: Ports, act: Act, domain: ScopedDomain, algorithms: Sequence[str], *, is_on: bool) -> None:
    # Made before any transaction: an RSA key takes a tenth of a second and more.
    pairs = [keys_of_dkim.new_pair(algorithm) for algorithm in algorithms]
    chosen: list[tuple[str, keys_of_dkim.KeyPair]] = []

    def records(unit: Connection) -> Sequence[TxtRecord]:
        _refuse_other_state(unit, domain, is_on=is_on)
        chosen[:] = _named(ports, unit, domain, pairs)
        return [keys_of_dkim.record(domain.name, name, pair.algorithm, pair.public_key) for name, pair in chosen]

    def keep(unit: Connection) -> Sequence[int]:
        rows = [dkim.row_of(ports, domain, name, pair) for name, pair in chosen]
        return [unit.scalars(insert(DkimKey).returning(DkimKey.id), row).one() for row in rows]

    def keep_coming(unit: Connection) -> None:
        due_at = now() + SETTLING
        unit.execute(insert(DkimRotation), [{"key_id": id_, "stage": COMING, "due_at": due_at} for id_ in keep(unit)])

    if is_on:
        # The keys come into being with the acknowledgement: whatever cuts this short before leaves only a record that
        # nobody signs for, and that reconcile withdraws.
        publication.switch_all(ports, act, domain, publication.DKIM, records, on=True, along=keep_coming)
        return
    with ports.store.writing() as unit:
        domain = scope.same(unit, act.acting, domain)
        records(unit)
        dkim.forget(unit, [key for key in dkim.keys(unit, domain) if key.algorithm in algorithms])
        keep(unit)
        audit.done(unit, act, domain.name)


def _refuse_other_state(unit: Connection, domain: ScopedDomain, *, is_on: bool) -> None:
    _refuse_coming(domain, dkim.keys(unit, domain))
    if bool(dkim.published(unit, domain)) != is_on:
        raise publication.Busy(name=domain.name, reason="DKIM was switched meanwhile")


def _named(
    ports: Ports, unit: Connection, domain: ScopedDomain, pairs: Sequence[keys_of_dkim.KeyPair]
) -> list[tuple[str, keys_of_dkim.KeyPair]]:
    """The new keys with a selector each."""
    # A name that was ever published is not used again: somebody may remember the key that it had.
    used = set(unit.scalars(_USED, {"domain_id": domain.id}))
    used |= {key.record(domain.name).name for key in dkim.keys(unit, domain)}
    return [(_unused(ports, domain, pair.algorithm, used), pair) for pair in pairs]


def _unused(ports: Ports, domain: ScopedDomain, algorithm: str, used: set[str]) -> str:
    names = keys_of_dkim.selectors(ports.settings.dkim_selector, algorithm, now().date())
    selector = next(name for name in names if keys_of_dkim.record_name(name, domain.name) not in used)
    used.add(keys_of_dkim.record_name(selector, domain.name))
    return selector


def continue_all(ports: Ports, act: Act) -> Sequence[Step]:
    """Go on with every rotation that something is due of."""
    with ports.store.reading() as unit:
        names = unit.scalars(_DUE, {"at": now()}).all()
    return [step for name in names for step in go_on(ports, act, domain=name)]


def go_on(ports: Ports, act: Act, *, domain: str) -> Sequence[Step]:
    """Do what is due of the rotation of ``domain``. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, act.acting, domain)
        present = dkim.keys(unit, scoped)
    coming = [key for key in present if key.stage == COMING and key.due_at <= now()]
    going = [key for key in present if key.stage == GOING and key.due_at <= now()]
    return [*_take_over(ports, act, scoped, coming), *_wind_down(ports, act, scoped, going)]


def is_under_way(ports: Ports, act: Act, *, domain: str) -> bool:
    """Whether a key of ``domain`` is still being brought up. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        return any(key.stage == COMING for key in dkim.keys(unit, scope.domain(unit, act.acting, domain)))


def _take_over(ports: Ports, act: Act, domain: ScopedDomain, coming: Sequence[Key]) -> Sequence[Step]:
    hidden = {key.selector: why for key in coming if (why := _why_hidden(ports, key.record(domain.name)))}
    if hidden or not coming:
        return [Step(domain.name, selector, "waits", why) for selector, why in hidden.items()]
    ids = {key.id for key in coming}
    with ports.store.writing() as unit:
        present = dkim.keys(unit, domain)
        there = {record.name for record in dkim.published(unit, domain)}
        ready = [key for key in present if key.id in ids and key.stage == COMING]
        ready = [key for key in ready if key.record(domain.name).name in there]
        succeeded = {key.algorithm for key in ready}
        _let_go(unit, domain, [key for key in present if key.stage is None and key.algorithm in succeeded])
        dkim.let_sign(unit, ready)
        if ready:
            audit.done(unit, act, domain.name)
    return [Step(domain.name, key.selector, "signs") for key in ready]


def _let_go(unit: Connection, domain: ScopedDomain, leaving: Sequence[Key]) -> None:
    there = {record.name for record in dkim.published(unit, domain)}
    dkim.forget(unit, [key for key in leaving if key.record(domain.name).name not in there])
    due_at = now() + GRACE
    going = [
        {"key_id": key.id, "stage": GOING, "due_at": due_at} for key in leaving if key.record(domain.name).name in there
    ]
    if going:
        unit.execute(insert(DkimRotation), going)


def _why_hidden(ports: Ports, record: TxtRecord) -> str | None:
    try:
        found = lookup.Resolver(ports.settings.resolver).txt(record.name)
    except lookup.NoAnswer as error:
        return str(error)
    if found == [record.value]:
        return None
    return "DNS does not show its record yet" if not found else "DNS shows another record"


def _wind_down(ports: Ports, act: Act, domain: ScopedDomain, going: Sequence[Key]) -> Sequence[Step]:
    names = {key.record(domain.name).name for key in going}

    def records(unit: Connection) -> Sequence[TxtRecord]:
        there = [record for record in dkim.published(unit, domain) if record.name in names]
        if not there:
            raise AlreadyInThatState(domain=domain.name)
        return there

    def forget(unit: Connection) -> None:
        dkim.forget(unit, going)

    if not going:
        return []
    try:
        publication.switch_all(ports, act, domain, publication.DKIM, records, on=False, along=forget)
    except AlreadyInThatState:
        with ports.store.writing() as unit:
            forget(unit)
    except PublishFailed as refusal:
        reason = str(refusal.facts.get("reason"))
        return [Step(domain.name, key.selector, "waits", reason) for key in going]
    return [Step(domain.name, key.selector, "withdrawn") for key in going]
