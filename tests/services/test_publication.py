"""Switching records on and off: whatever goes wrong, the answer is true, and ``reconcile`` mends what was cut short."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

import config
from mailsvc.core.refusals import AlreadyInThatState, PublishFailed, Refusal, UnknownDomain
from mailsvc.services import dkim, domains, publication, scope, spf
from mailsvc.services.ports import Ports
from mailsvc.services.publication import Settled
from tests.application import act
from tests.services.callers import act_of, counts, everything, found, last_audit_entry
from tests.services.world import World, fail, nothing
from tests.store.locking import impatient, locked
from tests.store.processes import PORTS, child

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""

TEXT = "v=spf1 mx ~all"
SPF = {("example.com", TEXT)}
NONE: set[tuple[str, str]] = set()


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


@pytest.fixture
def ports(ports: Ports, world: World) -> Ports:
    """The ports, publishing to ``world``."""
    return replace(ports, dns=world)


def state(ports: Ports, domain: str = "example.com") -> list[tuple[object, ...]]:
    """The records of a domain as they are on file: purpose, enabled, settled, whether somebody is at work on it."""
    query = (
        "SELECT r.purpose, r.enabled, r.settled, r.busy_until IS NOT NULL FROM dns_record r"
        " JOIN domain d ON d.id = r.domain_id WHERE d.name = :domain ORDER BY r.purpose"
    )
    return found(ports, query, domain=domain)


ON = [("spf", 1, 1, False)]
OFF = [("spf", 0, 1, False)]


def serial(ports: Ports) -> int:
    [(number,)] = found(ports, "SELECT zone_serial FROM domain WHERE name = 'example.com'")
    return int(number)


def with_spf(ports: Ports, text: str) -> Ports:
    """The same after a restart with another SPF text."""
    return replace(ports, settings=replace(ports.settings, spf=text))


def let_leases_expire(ports: Ports) -> None:
    with ports.store.writing() as unit:
        unit.execute(sa.text("UPDATE dns_record SET busy_until = 1 WHERE busy_until IS NOT NULL"))


def enable(ports: Ports) -> None:
    spf.enable(ports, act(), domain="example.com")


def disable(ports: Ports) -> None:
    spf.disable(ports, act(), domain="example.com")


def test_a_record_is_switched_on_and_off(ports: Ports, world: World) -> None:
    alice, before = replace(act_of(ports, "alice"), operation="onspf", done=3), serial(ports)
    spf.enable(ports, alice, domain="example.com")
    assert (world.shown, state(ports), serial(ports)) == (SPF, ON, before + 1)
    assert last_audit_entry(ports) == ("test", "onspf", "alice", "alice", "example.com", "done", 3)
    disable(ports)
    assert (world.shown, state(ports), serial(ports)) == (NONE, OFF, before + 2)
    enable(ports)
    assert (world.shown, state(ports), serial(ports)) == (SPF, ON, before + 3)
    assert world.calls == [f"publish {TEXT}", f"withdraw {TEXT}", f"publish {TEXT}"]


def test_what_is_in_that_state_already_is_left_in_peace(ports: Ports, world: World) -> None:
    before = everything(ports)
    with pytest.raises(AlreadyInThatState):
        disable(ports)
    with pytest.raises(AlreadyInThatState):
        dkim.disable(ports, act(), domain="example.com")
    assert everything(ports) == before
    enable(ports)
    before = everything(ports)
    with pytest.raises(AlreadyInThatState) as refused:
        enable(ports)
    assert refused.value.facts == {"domain": "example.com"}
    assert everything(ports) == before
    assert world.calls == [f"publish {TEXT}"]


def test_a_domain_out_of_scope_is_unknown(ports: Ports, world: World) -> None:
    before, alice = everything(ports), act_of(ports, "alice")
    for switch in (spf.enable, spf.disable, dkim.enable, dkim.disable):
        for domain in ("bob.test", "nowhere.test"):
            with pytest.raises(UnknownDomain):
                switch(ports, alice, domain=domain)
    assert everything(ports) == before
    assert world.calls == []


def test_no_lock_is_held_while_the_world_is_changed(ports: Ports, world: World) -> None:
    def write() -> None:
        with ports.store.writing() as unit:
            unit.execute(sa.text("UPDATE domain SET zone_serial = 70 WHERE name = 'bob.test'"))

    world.script = [(write, nothing), (write, nothing)]
    enable(ports)
    disable(ports)
    assert found(ports, "SELECT zone_serial FROM domain WHERE name = 'bob.test'") == [(70,)]


FAILURES = {"before": (fail, nothing), "after": (nothing, fail)}


@pytest.mark.parametrize("when", FAILURES)
def test_a_failure_is_taken_back_and_refused(ports: Ports, world: World, when: str) -> None:
    audited, before = last_audit_entry(ports), serial(ports)
    world.script = [FAILURES[when]]
    with pytest.raises(PublishFailed) as refused:
        enable(ports)
    assert refused.value.facts["reason"] == "the back-end is down"
    assert (world.shown, state(ports), serial(ports)) == (NONE, OFF, before)
    assert last_audit_entry(ports) == audited
    enable(ports)

    world.script = [FAILURES[when]]
    with pytest.raises(PublishFailed):
        disable(ports)
    assert (world.shown, state(ports), serial(ports)) == (SPF, ON, before + 1)
    disable(ports)
    assert (world.shown, state(ports)) == (NONE, OFF)


@pytest.mark.parametrize("when", FAILURES)
@on_sqlite
def test_what_cannot_be_taken_back_is_unsettled_until_reconcile_mends_it(ports: Ports, world: World, when: str) -> None:
    world.script = [(nothing, fail), FAILURES[when]]
    with pytest.raises(PublishFailed):
        enable(ports)
    assert state(ports) == [("spf", 0, 0, False)]
    world.script = [(fail, nothing)]
    assert publication.reconcile(ports) == [Settled("example.com", False, "the back-end is down")]
    assert state(ports) == [("spf", 0, 0, False)]
    assert publication.reconcile(ports) == [Settled("example.com", False, None)]
    assert (world.shown, state(ports)) == (NONE, OFF)
    assert publication.reconcile(ports) == []

    enable(ports)
    world.script = [(nothing, fail), FAILURES[when]]
    with pytest.raises(PublishFailed):
        disable(ports)
    assert state(ports) == [("spf", 1, 0, False)]
    assert publication.reconcile(ports) == [Settled("example.com", True, None)]
    assert (world.shown, state(ports)) == (SPF, ON)


def test_a_change_that_cannot_be_acknowledged_is_taken_back_at_once(
    ports: Ports, world: World, settings: config.Settings
) -> None:
    """Somebody else writes from the effect on until the change is taken back, and our patience ends meanwhile."""
    impatient(ports.store)
    for switch, before, shown in ((enable, OFF, NONE), (disable, ON, SPF)):
        if before is ON:
            enable(ports)
        number = serial(ports)
        with ExitStack() as writing:
            world.script = [(nothing, lambda: writing.enter_context(locked(settings))), (writing.close, nothing)]
            with pytest.raises(DBAPIError, match="lock"):
                switch(ports)
        assert (world.shown, state(ports), serial(ports)) == (shown, before, number)
        assert publication.reconcile(ports) == []


def test_it_is_taken_back_in_the_world_while_the_store_still_refuses(
    ports: Ports, world: World, settings: config.Settings
) -> None:
    impatient(ports.store)
    with ExitStack() as writing:
        world.script = [(nothing, lambda: writing.enter_context(locked(settings)))]
        with pytest.raises(DBAPIError, match="lock"):
            enable(ports)
        assert world.shown == NONE
    let_leases_expire(ports)
    assert publication.reconcile(ports) == [Settled("example.com", False, None)]
    assert (world.shown, state(ports)) == (NONE, OFF)


def test_what_was_acknowledged_after_all_stays(ports: Ports, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is done, and only then something goes wrong."""
    on_commit = ports.store.writing

    @contextmanager
    def writing(*patience: float) -> Iterator[Connection]:
        with on_commit(*patience) as unit:
            yield unit
        if state(ports) == ON:
            raise ConnectionError

    monkeypatch.setattr(ports.store, "writing", writing)
    with pytest.raises(ConnectionError):
        enable(ports)
    assert (world.shown, state(ports)) == (SPF, ON)


def test_reconcile_names_what_somebody_is_at_work_on(ports: Ports, world: World) -> None:
    world.script = [(nothing, die)]
    with pytest.raises(KeyboardInterrupt):
        enable(ports)
    assert publication.reconcile(ports) == [Settled("example.com", False, None, under_way=True)]
    assert world.shown == SPF


@pytest.mark.parametrize("switch", [enable, disable])
@pytest.mark.parametrize("failed", [enable, disable])
@on_sqlite
def test_an_unsettled_record_can_be_switched_either_way(
    ports: Ports, world: World, failed: Callable[[Ports], None], switch: Callable[[Ports], None]
) -> None:
    if failed is disable:
        enable(ports)
    world.script = [(nothing, fail), (fail, nothing)]
    with pytest.raises(PublishFailed):
        failed(ports)
    was_so = failed is not switch
    assert outcome_of(lambda: switch(ports)) in ((None, AlreadyInThatState) if was_so else (None,))
    assert (world.shown, state(ports)) == ((SPF, ON) if switch is enable else (NONE, OFF))


def test_an_unexpected_failure_of_the_back_end_is_mended_too(ports: Ports, world: World) -> None:
    def broken() -> None:
        raise OSError("a bug of the back-end")

    world.script = [(nothing, broken)]
    with pytest.raises(OSError, match="a bug"):
        enable(ports)
    assert publication.reconcile(ports, at_start=True) == [Settled("example.com", False, None)]
    assert (world.shown, state(ports)) == (NONE, OFF)


def die() -> None:
    raise KeyboardInterrupt


def leave() -> None:
    raise SystemExit


CRASHES = {
    "before the effect": [(die, nothing)],
    "after the effect": [(nothing, leave)],
    "before taking back": [(nothing, fail), (die, nothing)],
    "after taking back": [(nothing, fail), (nothing, leave)],
}


@pytest.mark.parametrize("when", CRASHES)
@pytest.mark.parametrize("switch", [enable, disable])
@on_sqlite
def test_a_crash_ends_in_the_state_last_acknowledged(
    ports: Ports, world: World, switch: Callable[[Ports], None], when: str
) -> None:
    if switch is disable:
        enable(ports)
    acknowledged = SPF if switch is disable else NONE
    world.script = list(CRASHES[when])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        switch(ports)
    (left,) = publication.reconcile(ports)
    assert left.under_way, "somebody may still be at work on it"
    assert publication.reconcile(ports, at_start=True) == [Settled("example.com", switch is disable, None)]
    assert world.shown == acknowledged
    assert state(ports) == (ON if acknowledged else OFF)
    switch(ports)
    assert state(ports) == (OFF if acknowledged else ON)


def test_nobody_waits_for_a_dead_process_longer_than_its_lease(ports: Ports, world: World) -> None:
    world.script = [(nothing, die)]
    with pytest.raises(KeyboardInterrupt):
        enable(ports)
    let_leases_expire(ports)
    assert publication.reconcile(ports) == [Settled("example.com", False, None)]
    world.script = [(nothing, die)]
    with pytest.raises(KeyboardInterrupt):
        enable(ports)
    let_leases_expire(ports)
    enable(ports)
    assert (world.shown, state(ports)) == (SPF, ON)


SWITCHES = f"""{PORTS}
from dataclasses import replace
from pathlib import Path
from mailsvc.services import spf
from tests.application import act
from tests.services.world import World, nothing

def halt():
    print("halted", flush=True)
    sys.stdin.readline()

halts = (halt, nothing) if sys.argv[2] == "before" else (nothing, halt)
ports = replace(ports, dns=World(Path(sys.argv[1]), [halts]))
(spf.enable if sys.argv[3] == "on" else spf.disable)(ports, act(), domain="example.com")
print("done", flush=True)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@on_sqlite
def test_a_process_that_is_killed_half_way_leaves_what_reconcile_mends(
    ports: Ports, world: World, settings: config.Settings, when: str
) -> None:
    for direction, acknowledged in (("on", NONE), ("off", SPF)):
        if direction == "off":
            enable(ports)
        with child(settings, SWITCHES, str(world.directory), when, direction) as process:
            assert process.line() == "halted"
            process.kill()
        assert world.shown == ({"before": acknowledged, "after": SPF - acknowledged}[when])
        assert len(publication.reconcile(ports, at_start=True)) == 1
        assert (world.shown, state(ports)) == (acknowledged, ON if acknowledged else OFF)


def test_a_process_that_is_not_killed_succeeds(ports: Ports, world: World, settings: config.Settings) -> None:
    with child(settings, SWITCHES, str(world.directory), "before", "on") as process:
        assert process.line() == "halted"
        process.tell()
        assert process.line() == "done"
    assert (world.shown, state(ports)) == (SPF, ON)


def outcome_of(switch: Callable[[], None]) -> type[Refusal] | None:
    try:
        switch()
    except Refusal as refusal:
        return type(refusal)
    return None


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up, however slow the machine is."""
    monkeypatch.setattr(publication, "PATIENCE", LIMIT)


def test_of_two_who_switch_on_at_once_one_succeeds(ports: Ports, world: World, patient: None) -> None:
    first_is_at_work, second_is_here = threading.Event(), threading.Event()

    def wait() -> None:
        first_is_at_work.set()
        assert second_is_here.wait(LIMIT)

    def second() -> None:
        second_is_here.set()
        enable(ports)

    world.script = [(wait, nothing)]
    with ThreadPoolExecutor() as threads:
        first = threads.submit(outcome_of, lambda: enable(ports))
        assert first_is_at_work.wait(LIMIT)
        outcomes = [threads.submit(outcome_of, second).result(LIMIT), first.result(LIMIT)]
    assert outcomes == [AlreadyInThatState, None]
    assert (world.shown, state(ports), world.calls) == (SPF, ON, [f"publish {TEXT}"])


def test_many_who_switch_at_once_leave_the_world_as_it_was_acknowledged(ports: Ports, world: World) -> None:
    def attempt(number: int) -> tuple[bool, type[Refusal] | None]:
        on = number % 2 == 0
        return on, outcome_of(lambda: (enable if on else disable)(ports))

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(attempt, range(16)))
    succeeded = [on for on, refusal in outcomes if refusal is None]
    assert {refusal for _, refusal in outcomes} <= {None, AlreadyInThatState, publication.Busy}
    is_on = succeeded.count(True) - succeeded.count(False)
    assert is_on in (0, 1)
    assert (world.shown, state(ports)) == ((SPF, ON) if is_on else (NONE, OFF))


def test_somebody_who_has_waited_long_enough_is_refused(
    ports: Ports, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "PATIENCE", 0.05)
    others: list[type[Refusal] | None] = []

    def meanwhile() -> None:
        others.append(outcome_of(lambda: enable(ports)))
        others.append(outcome_of(lambda: disable(ports)))
        others.append(outcome_of(lambda: domains.remove(ports, act(), name="example.com")))

    world.script = [(nothing, meanwhile)]
    enable(ports)
    assert others == [publication.Busy] * 3
    assert (world.shown, state(ports)) == (SPF, ON)


@pytest.mark.parametrize("when", ["before", "after"])
def test_somebody_whose_claim_was_taken_over_is_refused_and_his_change_undone(
    ports: Ports, world: World, when: str
) -> None:
    """A service that starts while another still runs takes over whatever is unsettled."""

    def another_starts() -> None:
        assert publication.reconcile(ports, at_start=True) == [Settled("example.com", False, None)]

    world.script = [(another_starts, nothing) if when == "before" else (nothing, another_starts)]
    with pytest.raises(PublishFailed):
        enable(ports)
    publication.reconcile(ports, at_start=True)
    assert (world.shown, state(ports)) == (NONE, OFF)


def test_what_was_published_is_what_is_withdrawn_whatever_the_settings_say_now(ports: Ports, world: World) -> None:
    enable(ports)
    changed = with_spf(ports, "v=spf1 -all")
    with pytest.raises(AlreadyInThatState):
        enable(changed)
    disable(changed)
    assert world.shown == NONE
    enable(changed)
    assert world.shown == {("example.com", "v=spf1 -all")}
    disable(ports)
    assert (world.shown, state(ports)) == (NONE, OFF)


def test_an_older_text_that_a_crash_left_is_withdrawn_with_the_newer_one(ports: Ports, world: World) -> None:
    world.script = [(nothing, die)]
    with pytest.raises(KeyboardInterrupt):
        enable(ports)
    let_leases_expire(ports)
    changed = with_spf(ports, "v=spf1 -all")
    enable(changed)
    assert world.shown == {("example.com", "v=spf1 -all")}
    disable(changed)
    assert (world.shown, state(ports)) == (NONE, OFF)


@pytest.mark.parametrize("interruption", [die, fail])
@on_sqlite
def test_an_older_text_is_not_forgotten_when_the_newer_one_fails_too(
    ports: Ports, world: World, interruption: Callable[[], None]
) -> None:
    world.script = [(nothing, die)]
    with pytest.raises(KeyboardInterrupt):
        enable(ports)
    let_leases_expire(ports)
    changed = with_spf(ports, "v=spf1 -all")
    world.script = [(interruption, nothing), (fail, nothing), (fail, nothing)]
    with pytest.raises((KeyboardInterrupt, PublishFailed)):
        enable(changed)
    world.script = []
    publication.reconcile(changed, at_start=True)
    assert (world.shown, state(ports)) == (NONE, OFF)


def test_a_failed_key_publication_keeps_the_key(ports: Ports, world: World) -> None:
    world.script = [(fail, nothing)]
    with pytest.raises(PublishFailed):
        dkim.enable(ports, act(), domain="example.com")
    [(key,)] = found(ports, "SELECT public_key FROM dkim_key")
    assert (world.shown, state(ports)) == (NONE, [("dkim", 0, 1, False)])
    dkim.enable(ports, act(), domain="example.com")
    assert world.shown == {("mail._domainkey.example.com", f"v=DKIM1; k=rsa; p={key}")}
    dkim.disable(ports, act(), domain="example.com")
    assert found(ports, "SELECT public_key FROM dkim_key") == [(key,)]


def test_a_private_key_is_sealed_for_its_domain_and_selector(ports: Ports) -> None:
    dkim.enable(ports, act(), domain="example.com")
    [(sealed,)] = found(ports, "SELECT private_key FROM dkim_key")
    assert b"PRIVATE KEY" not in bytes(sealed)
    opened = ports.seals.open(dkim.seal_purpose("example.com", "mail"), bytes(sealed))
    assert opened.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_two_who_make_the_first_key_at_once_make_one(ports: Ports, world: World, patient: None) -> None:
    def attempt(_: int) -> type[Refusal] | None:
        return outcome_of(lambda: dkim.enable(ports, act(), domain="example.com"))

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(attempt, range(2)))
    assert sorted(outcomes, key=str) == [AlreadyInThatState, None]
    [(key,)] = found(ports, "SELECT public_key FROM dkim_key")
    assert world.shown == {("mail._domainkey.example.com", f"v=DKIM1; k=rsa; p={key}")}


def enable_both(ports: Ports) -> None:
    enable(ports)
    dkim.enable(ports, act(), domain="example.com")


def test_a_domain_is_withdrawn_before_it_is_removed(ports: Ports, world: World) -> None:
    enable_both(ports)
    spf.enable(ports, act(), domain="bob.test")
    still_there: list[object] = []
    world.script = [
        (lambda: still_there.extend(found(ports, "SELECT 1 FROM domain WHERE name = 'example.com'")), nothing)
    ]
    domains.remove(ports, act(), name="example.com")
    assert still_there == [(1,)]
    assert world.shown == {("bob.test", TEXT)}
    assert domains.listed(ports, act_of(ports, "alice").acting) == []


def test_a_domain_whose_records_cannot_be_withdrawn_stays(ports: Ports, world: World) -> None:
    enable_both(ports)
    before = everything(ports)
    shown = world.shown
    world.script = [(fail, nothing)]
    with pytest.raises(PublishFailed):
        domains.remove(ports, act(), name="example.com")
    assert world.shown == shown
    assert everything(ports) == before
    world.script = [(nothing, nothing), (fail, nothing)]
    with pytest.raises(PublishFailed):
        domains.remove(ports, act(), name="example.com")
    assert state(ports) == [("dkim", 1, 1, False), ("spf", 0, 1, False)]
    assert {name for name, _ in world.shown} == {"mail._domainkey.example.com"}
    domains.remove(ports, act(), name="example.com")
    assert world.shown == NONE


def test_withdrawing_all_leaves_what_is_off_and_takes_what_is_unsettled(ports: Ports, world: World) -> None:
    enable_both(ports)
    dkim.disable(ports, act(), domain="example.com")
    world.script = [(nothing, fail), (fail, nothing)]
    with pytest.raises(PublishFailed):
        disable(ports)
    world.calls.clear()
    with ports.store.reading() as unit:
        domain = scope.domain(unit, act().acting, "example.com")
    publication.withdraw_all(ports, domain)
    assert state(ports) == [("dkim", 0, 1, False), ("spf", 0, 1, False)]
    assert (world.shown, world.calls) == (NONE, [f"withdraw {TEXT}"])


def test_what_is_switched_on_while_a_domain_is_being_removed_does_not_outlive_it(ports: Ports, world: World) -> None:
    enable_both(ports)
    # When the second record is withdrawn, another caller switches the first on again.
    world.script = [(nothing, nothing), (nothing, lambda: enable(ports))]
    refusal = outcome_of(lambda: domains.remove(ports, act(), name="example.com"))
    if refusal is None:
        assert world.shown == NONE
    else:
        assert refusal is publication.Busy
        assert (world.shown, state(ports)[1:]) == (SPF, ON)


def test_a_domain_that_is_given_away_while_it_is_being_removed_is_counted_to_its_new_owner(
    ports: Ports, world: World
) -> None:
    enable(ports)
    world.script = [(nothing, lambda: domains.give(ports, act(), name="example.com", owner="bob"))]
    with suppress(UnknownDomain):
        domains.remove(ports, act(), name="example.com")
    assert set(counts(ports).values()) <= {0, 1}
    assert world.shown == NONE


def test_a_record_of_a_domain_that_is_gone_by_now_is_of_an_unknown_domain(ports: Ports, world: World) -> None:
    """Another caller may remove the domain at any moment."""
    with ports.store.reading() as unit:
        domain = scope.domain(unit, act().acting, "example.com")
    record = spf.record(ports, "example.com")
    domains.remove(ports, act(), name="example.com")
    with pytest.raises(UnknownDomain):
        publication.switch(ports, act(), domain, publication.SPF, record, on=True)
    assert world.shown == NONE


def test_a_domain_that_goes_away_while_its_key_is_made_is_unknown(ports: Ports, world: World) -> None:
    class Seals(type(ports.seals)):  # type: ignore[misc]
        def seal(self, purpose: str, secret: bytes) -> bytes:
            domains.remove(ports, act(), name="example.com")
            return bytes(super().seal(purpose, secret))

    with pytest.raises(UnknownDomain):
        dkim.enable(replace(ports, seals=Seals(ports.settings.key_file)), act(), domain="example.com")
    assert world.shown == NONE


def test_reconcile_goes_on_when_a_domain_goes_away_meanwhile(ports: Ports, world: World) -> None:
    domains.add(ports, act(), name="third.test", owner="alice")
    for domain in ("example.com", "bob.test", "third.test"):
        world.script = [(nothing, fail), (fail, nothing)]
        with pytest.raises(PublishFailed):
            spf.enable(ports, act(), domain=domain)
    world.script = [(lambda: domains.remove(ports, act(), name="bob.test"), nothing)]
    names = {settled.name for settled in publication.reconcile(ports) if settled.failure is None}
    assert {"example.com", "third.test"} <= names
    assert world.shown == NONE


def test_of_many_who_remove_a_domain_at_once_one_succeeds(ports: Ports, world: World, patient: None) -> None:
    enable_both(ports)

    def attempt(_: int) -> type[Refusal] | None:
        return outcome_of(lambda: domains.remove(ports, act(), name="example.com"))

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(attempt, range(4)))
    assert sorted(outcomes, key=str) == [UnknownDomain] * 3 + [None]
    assert world.shown == NONE
