"""Rotation of DKIM keys: at every moment what signs is published, whoever fails or dies, and off means off."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsvc.core.refusals import (
    AlreadyExists,
    AlreadyInThatState,
    NoDkimKey,
    PublishFailed,
    Refusal,
    RotationUnderWay,
    UnknownDomain,
)
from mailsvc.dns import lookup
from mailsvc.services import dkim, dkim_rotation, domains, publication, zones
from mailsvc.services.dkim_rotation import Step
from mailsvc.services.ports import Ports
from mailsvc.store.types import now
from tests.application import act
from tests.services.callers import act_of, everything, found, last_audit_entry
from tests.services.world import World, fail, nothing

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

DOMAIN = "example.com"


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


@pytest.fixture
def ports(ports: Ports, world: World, monkeypatch: pytest.MonkeyPatch) -> Ports:
    """The ports, publishing to ``world``, which everybody sees at once."""
    monkeypatch.setattr(lookup.Resolver, "txt", lambda self, name: shown_at(world, name))
    return replace(ports, dns=world)


def shown_at(world: World, name: str) -> list[str]:
    return sorted(value for there, value in world.shown if there == name)


def signing(ports: Ports) -> list[str]:
    query = "SELECT selector FROM dkim_signing_key WHERE domain = :domain ORDER BY selector"
    return [selector for (selector,) in found(ports, query, domain=DOMAIN)]


def published(world: World) -> list[str]:
    """The selectors that the world sees."""
    return sorted(name.removesuffix(f"._domainkey.{DOMAIN}") for name, value in world.shown if "DKIM1" in value)


def selectors(ports: Ports) -> list[str]:
    """Of all keys on file."""
    return [selector for (selector,) in found(ports, "SELECT selector FROM dkim_key ORDER BY id")]


def rotate(ports: Ports) -> None:
    dkim_rotation.rotate(ports, act("dkim rotate"), domain=DOMAIN)


def go_on(ports: Ports) -> list[Step]:
    return list(dkim_rotation.continue_all(ports, act("dkim rotate")))


def let_time_pass(ports: Ports, time: timedelta) -> None:
    with ports.store.writing() as unit:
        unit.execute(sa.text(f"UPDATE dkim_rotation SET due_at = due_at - {time // timedelta(milliseconds=1)}"))


def refusal_of(attempt: Callable[[], object]) -> type[Refusal] | None:
    try:
        attempt()
    except Refusal as refusal:
        return type(refusal)
    return None


def dated(suffix: str = "") -> str:
    return f"mail-{now():%Y%m%d}{suffix}"


def enable(ports: Ports) -> None:
    dkim.enable(ports, act(), domain=DOMAIN)


def disable(ports: Ports) -> None:
    dkim.disable(ports, act(), domain=DOMAIN)


def serial(ports: Ports) -> int:
    return int(found(ports, "SELECT zone_serial FROM domain WHERE name = :name", name=DOMAIN)[0][0])


def test_a_rotation_from_its_beginning_to_its_end(ports: Ports, world: World) -> None:
    enable(ports)
    before = serial(ports)
    rotate(ports)
    assert (signing(ports), published(world)) == (["mail"], ["mail", dated()])
    assert last_audit_entry(ports)[1:] == ("dkim rotate", "test", "mailsvc", DOMAIN, "done", 0)
    assert serial(ports) == before + 1
    assert go_on(ports) == [] and signing(ports) == ["mail"]

    let_time_pass(ports, dkim_rotation.SETTLING)
    assert go_on(ports) == [Step(DOMAIN, dated(), "signs")]
    assert (signing(ports), published(world)) == ([dated()], ["mail", dated()])
    assert go_on(ports) == []

    let_time_pass(ports, dkim_rotation.GRACE - timedelta(minutes=1))
    assert go_on(ports) == [] and published(world) == ["mail", dated()]
    let_time_pass(ports, timedelta(minutes=1))
    assert go_on(ports) == [Step(DOMAIN, "mail", "withdrawn")]
    assert (signing(ports), published(world), selectors(ports)) == ([dated()], [dated()], [dated()])
    assert serial(ports) == before + 2
    assert go_on(ports) == []


def test_a_key_does_not_sign_before_everybody_sees_it(
    ports: Ports, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    enable(ports)
    rotate(ports)
    let_time_pass(ports, dkim_rotation.SETTLING)

    def no_answer(self: lookup.Resolver, name: str) -> list[str]:
        raise lookup.NoAnswer("the resolver is away")

    answers: dict[str, Callable[[lookup.Resolver, str], list[str]]] = {
        "the resolver is away": no_answer,
        "DNS does not show its record yet": lambda self, name: [],
        "DNS shows another record": lambda self, name: ["v=DKIM1; k=rsa; p=other"],
    }
    for reason, answer in answers.items():
        with monkeypatch.context() as patch:
            patch.setattr(lookup.Resolver, "txt", answer)
            assert go_on(ports) == [Step(DOMAIN, dated(), "waits", reason)]
            assert signing(ports) == ["mail"]
    assert go_on(ports) == [Step(DOMAIN, dated(), "signs")]


def test_one_rotation_at_a_time_is_brought_up(ports: Ports) -> None:
    assert refusal_of(lambda: rotate(ports)) is NoDkimKey
    enable(ports)
    rotate(ports)
    before = everything(ports)
    assert refusal_of(lambda: rotate(ports)) is RotationUnderWay
    assert everything(ports) == before
    alice = act_of(ports, "alice")
    for name in ("bob.test", "nowhere.test"):
        with pytest.raises(UnknownDomain):
            dkim_rotation.rotate(ports, alice, domain=name)


def test_a_name_is_never_used_twice(ports: Ports) -> None:
    enable(ports)
    seen = ["mail"]
    for suffix in ("", "-2", "-3"):
        rotate(ports)
        let_time_pass(ports, dkim_rotation.GRACE)
        go_on(ports)
        let_time_pass(ports, dkim_rotation.GRACE)
        go_on(ports)
        assert signing(ports) == [dated(suffix)] == selectors(ports)
        seen += signing(ports)
    assert len(set(seen)) == 4


def test_off_in_the_middle_withdraws_all_and_on_publishes_the_newest(ports: Ports, world: World) -> None:
    enable(ports)
    rotate(ports)
    disable(ports)
    assert (signing(ports), published(world), selectors(ports)) == ([], [], [dated()])
    assert refusal_of(lambda: disable(ports)) is AlreadyInThatState
    assert go_on(ports) == []
    enable(ports)
    assert signing(ports) == published(world) == [dated()]

    rotate(ports)
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    assert (signing(ports), published(world)) == ([dated("-2")], [dated(), dated("-2")])
    disable(ports)
    assert (signing(ports), published(world), selectors(ports)) == ([], [], [dated("-2")])
    enable(ports)
    assert signing(ports) == published(world) == [dated("-2")]


def test_while_it_is_off_the_key_is_replaced_at_once(ports: Ports, world: World) -> None:
    enable(ports)
    disable(ports)
    rotate(ports)
    assert (selectors(ports), published(world)) == ([dated()], [])
    enable(ports)
    assert signing(ports) == published(world) == [dated()]


def test_ed25519_goes_beside_rsa_and_both_are_rotated(ports: Ports, world: World) -> None:
    def add() -> None:
        dkim_rotation.add(ports, act(), domain=DOMAIN, algorithm="ed25519")

    assert refusal_of(add) is NoDkimKey
    enable(ports)
    add()
    ed = dated("-ed25519")
    assert (signing(ports), published(world)) == (["mail"], ["mail", ed])
    let_time_pass(ports, dkim_rotation.SETTLING)
    assert go_on(ports) == [Step(DOMAIN, ed, "signs")]
    assert signing(ports) == ["mail", ed]
    assert refusal_of(add) is AlreadyExists

    disable(ports)
    assert (signing(ports), published(world)) == ([], [])
    enable(ports)
    assert signing(ports) == published(world) == ["mail", ed]

    rotate(ports)
    assert signing(ports) == ["mail", ed]
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    assert signing(ports) == sorted([dated(), dated("-ed25519-2")])
    algorithms = dict(found(ports, "SELECT selector, algorithm FROM dkim_signing_key"))
    assert algorithms == {dated(): "rsa", dated("-ed25519-2"): "ed25519"}
    let_time_pass(ports, dkim_rotation.GRACE)
    go_on(ports)
    assert published(world) == signing(ports)

    dkim_rotation.remove(ports, act(), domain=DOMAIN, algorithm="ed25519")
    assert (signing(ports), published(world)) == ([dated()], sorted([dated(), dated("-ed25519-2")]))
    for algorithm in ("ed25519", "rsa"):
        with pytest.raises(NoDkimKey):
            dkim_rotation.remove(ports, act(), domain=DOMAIN, algorithm=algorithm)
    let_time_pass(ports, dkim_rotation.GRACE)
    go_on(ports)
    assert signing(ports) == published(world) == selectors(ports) == [dated()]


def test_a_key_added_while_off_comes_with_the_next_on(ports: Ports, world: World) -> None:
    enable(ports)
    disable(ports)
    dkim_rotation.add(ports, act(), domain=DOMAIN, algorithm="ed25519")
    assert published(world) == []
    enable(ports)
    assert signing(ports) == published(world) == ["mail", dated("-ed25519")]
    opened = [
        ports.seals.open(dkim.seal_purpose(DOMAIN, selector), bytes(sealed))
        for selector, sealed in found(ports, "SELECT selector, private_key FROM dkim_signing_key")
    ]
    assert all(b"BEGIN PRIVATE KEY" in secret for secret in opened)


FAILURES = {"before": (fail, nothing), "after": (nothing, fail)}


@pytest.mark.parametrize("when", FAILURES)
def test_a_failure_to_publish_leaves_everything_as_it_was(ports: Ports, world: World, when: str) -> None:
    enable(ports)
    dkim_rotation.add(ports, act(), domain=DOMAIN, algorithm="ed25519")
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    kept = selectors(ports), signing(ports), published(world)
    for script in ([FAILURES[when]], [(nothing, nothing), FAILURES[when]]):
        world.script = list(script)
        assert refusal_of(lambda: rotate(ports)) is PublishFailed
        assert (selectors(ports), signing(ports), published(world)) == kept
        world.script = list(script)
        assert refusal_of(lambda: disable(ports)) is PublishFailed
        assert (selectors(ports), signing(ports), published(world)) == kept
    rotate(ports)
    assert signing(ports) == kept[1]


@pytest.mark.parametrize("when", FAILURES)
def test_a_record_that_cannot_be_withdrawn_yet_is_tried_again(ports: Ports, world: World, when: str) -> None:
    enable(ports)
    rotate(ports)
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    let_time_pass(ports, dkim_rotation.GRACE)
    world.script = [FAILURES[when]]
    assert go_on(ports) == [Step(DOMAIN, "mail", "waits", "the back-end is down")]
    assert signing(ports) == [dated()]
    assert go_on(ports) == [Step(DOMAIN, "mail", "withdrawn")]
    assert (signing(ports), published(world)) == ([dated()], [dated()])


def die() -> None:
    raise KeyboardInterrupt


CRASHES = {"before": (die, nothing), "after": (nothing, die)}


@pytest.mark.parametrize("when", CRASHES)
@on_sqlite
def test_a_crash_while_publishing_is_mended_and_rotated_anew(ports: Ports, world: World, when: str) -> None:
    enable(ports)
    world.script = [CRASHES[when]]
    with pytest.raises(KeyboardInterrupt):
        rotate(ports)
    assert (signing(ports), selectors(ports)) == (["mail"], ["mail"])
    publication.reconcile(ports, at_start=True)
    assert published(world) == ["mail"]
    rotate(ports)
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    [new] = signing(ports)
    assert new != "mail" and published(world) == sorted(["mail", new])


@pytest.mark.parametrize("when", CRASHES)
@on_sqlite
def test_a_crash_while_switching_off_signs_again_only_with_what_is_published(
    ports: Ports, world: World, when: str
) -> None:
    enable(ports)
    rotate(ports)
    world.script = [(nothing, nothing), CRASHES[when]]
    with pytest.raises(KeyboardInterrupt):
        disable(ports)
    assert signing(ports) == [], "nobody knows what is published"
    publication.reconcile(ports, at_start=True)
    assert (signing(ports), published(world)) == (["mail"], ["mail", dated()])
    disable(ports)
    assert (signing(ports), published(world)) == ([], [])


@on_sqlite
def test_nothing_signs_while_a_switch_off_is_under_way(ports: Ports, world: World) -> None:
    enable(ports)
    seen: list[list[str]] = []
    world.script = [(lambda: seen.append(signing(ports)), nothing)]
    disable(ports)
    assert seen == [[]]


@on_sqlite
def test_the_old_key_signs_all_the_while_the_new_one_is_published(ports: Ports, world: World) -> None:
    enable(ports)
    seen: list[list[str]] = []
    world.script = [(lambda: seen.append(signing(ports)), lambda: seen.append(signing(ports)))]
    rotate(ports)
    assert seen == [["mail"], ["mail"]]


def test_a_domain_in_the_middle_of_it_goes_with_all_its_records(ports: Ports, world: World) -> None:
    enable(ports)
    rotate(ports)
    domains.remove(ports, act(), name=DOMAIN)
    assert world.shown == set()
    assert selectors(ports) == [] and go_on(ports) == []


def test_what_each_key_does_is_shown(ports: Ports) -> None:
    def notes() -> dict[str, str]:
        shown = zones.wanted(ports, act().acting, domain=DOMAIN)
        return {one.name.split(".", 1)[0]: one.note for one in shown if one.purpose == "DKIM"}

    enable(ports)
    assert notes() == {"mail": ""}
    rotate(ports)
    assert notes()["mail"] == "" and notes()[dated()].startswith("new: signs after ")
    let_time_pass(ports, dkim_rotation.SETTLING)
    go_on(ports)
    assert notes()["mail"].startswith("old: until ") and notes()[dated()] == ""
