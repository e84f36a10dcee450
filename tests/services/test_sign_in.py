"""Signing in: the same answer and the same work for everybody who is refused, at once and in every process."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import config
from mailsvc.app import create_app
from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn, Refusal, TooOften
from mailsvc.services import sign_in, users
from mailsvc.services.ports import Ports
from mailsvc.vault.argon2id import Argon2id
from mailsvc.vault.passwords import Passwords
from tests.application import ALICE_SECRET, ROOT_SECRET, act
from tests.services.callers import everything, found
from tests.services.test_throttle import pass_time
from tests.vault.watched import watch

HERE = "192.0.2.1"


def attempt(
    ports: Ports, name: str = "alice", password: str = "wrong", address: str = HERE
) -> PanelUser | type[Refusal]:
    """Who is signed in, or how it is refused."""
    try:
        return sign_in.by_password(ports, name=name, password=password, address=address)
    except (NotSignedIn, TooOften) as refusal:
        assert refusal.facts.keys() <= {"seconds"}, "nobody is told why"
        if isinstance(refusal, TooOften):
            assert 1 <= refusal.facts["seconds"] <= 60
        return type(refusal)


def signs_in(ports: Ports, name: str = "alice", password: str = ALICE_SECRET, address: str = HERE) -> bool:
    return isinstance(attempt(ports, name, password, address), PanelUser)


def test_a_user_is_known_by_name_and_password(ports: Ports) -> None:
    users.add(ports, act(), name="Ünï", password="Пароль 3", role="user", language="ru")
    signed_in = attempt(ports, "Ünï", "Пароль 3")
    assert signed_in == PanelUser(4, "Ünï", "user", "ru")
    root = attempt(ports, "root", ROOT_SECRET)
    assert isinstance(root, PanelUser)
    assert root.is_root


REFUSED = {
    "wrong password": ("alice", "Panel-2"),
    "another case": ("alice", "panel-1"),
    "more": ("alice", f"{ALICE_SECRET} "),
    "no password": ("alice", ""),
    "surrogates": ("alice", "\ud800"),
    "unknown": ("carol", ALICE_SECRET),
    "another case of the name": ("Alice", ALICE_SECRET),
    "unclean name": ("al\0ice", ALICE_SECRET),
    "name of surrogates": ("\ud800", ALICE_SECRET),
    "disabled": ("bob", "Panel-2"),
}


def test_all_who_are_refused_cost_the_same_work(ports: Ports) -> None:
    users.disable(ports, act(), name="bob")
    watched = watch(ports.passwords)
    for number, (name, password) in enumerate(REFUSED.values(), start=1):
        assert attempt(ports, name, password, f"192.0.2.{number}") is NotSignedIn
        assert watched.checked == number, "a hash of the same cost is checked for each"
    assert found(ports, "SELECT count(*) FROM login_failure") == [(len(REFUSED),)]


def test_without_a_name_nothing_is_looked_up_or_counted(ports: Ports) -> None:
    watched, before = watch(ports.passwords), everything(ports)
    assert attempt(ports, "", ALICE_SECRET) is NotSignedIn
    assert watched.checked == 0
    assert everything(ports) == before


def test_the_hash_is_paid_once_a_minute(ports: Ports) -> None:
    watched = watch(ports.passwords)
    for _ in range(3):
        assert signs_in(ports)
    assert watched.checked == 1
    assert not signs_in(ports, password="Panel-2")
    assert signs_in(ports, address="192.0.2.9")
    assert watched.checked == 2


def test_a_changed_password_and_a_disabled_user_are_refused_at_once_in_every_process(
    ports: Ports, other_process: Ports
) -> None:
    for process in (ports, other_process):
        assert signs_in(process)
    users.change_password(ports, act(), name="alice", password="Panel-9")
    for process in (ports, other_process):
        assert not signs_in(process)
        assert signs_in(process, password="Panel-9")
    users.disable(ports, act(), name="alice")
    for process in (ports, other_process):
        assert not signs_in(process, password="Panel-9")
    users.enable(ports, act(), name="alice")
    for process in (ports, other_process):
        assert signs_in(process, password="Panel-9")


def test_after_five_failures_the_pair_is_blocked_for_a_minute_in_every_process(
    ports: Ports, other_process: Ports
) -> None:
    assert signs_in(ports)
    for number in range(5):
        assert attempt((ports, other_process)[number % 2]) is NotSignedIn
    for process in (ports, other_process):
        assert attempt(process, password=ALICE_SECRET) is TooOften
        assert signs_in(process, address="192.0.2.9")
        assert signs_in(process, "root", ROOT_SECRET)
    pass_time(ports, 61)
    for process in (ports, other_process):
        assert signs_in(process)


def test_a_blocked_attempt_costs_no_hash_and_prolongs_nothing(ports: Ports) -> None:
    for name in ("alice", "carol"):
        for _ in range(5):
            attempt(ports, name)
    watched, before = watch(ports.passwords), everything(ports)
    for name in ("alice", "carol") * 3:
        assert attempt(ports, name, ALICE_SECRET) is TooOften
    assert watched.checked == 0
    assert everything(ports) == before


def test_a_block_survives_a_restart(ports: Ports, settings: config.Settings) -> None:
    for _ in range(5):
        attempt(ports)
    ports.store.close()
    restarted: Ports = create_app(settings).extensions["mailsvc"]
    assert attempt(restarted, password=ALICE_SECRET) is TooOften
    restarted.store.close()


def test_a_burst_of_guesses_is_not_checked_before_the_first_failures_count(ports: Ports) -> None:
    ports = replace(ports, passwords=Passwords(at_once=1))
    watched = watch(ports.passwords)
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda _: attempt(ports), range(12)))
    assert sorted(outcomes, key=str) == [NotSignedIn] * 5 + [TooOften] * 7
    assert watched.checked == 5


def test_a_failure_is_a_line_with_the_address_and_nothing_that_was_typed(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(6):
            attempt(ports, "typed-name", "typed-secret")
        attempt(ports, "typed-name", "typed-secret", "")
        attempt(ports, "typed-name", "typed-secret", "192.0.2.7\nsign-in failed from 203.0.113.1")
    lines = [record.getMessage() for record in caplog.records if record.name == "mailsvc.sign_in"]
    assert lines[:6] == [*[f"sign-in failed from {HERE}"] * 5, f"sign-in blocked from {HERE}"]
    assert lines[6] == "sign-in failed from unix"
    assert "\n" not in lines[7]
    assert "typed" not in caplog.text
    assert "typed" not in repr(everything(ports))


def test_a_name_or_a_contact_address_in_any_case(ports: Ports) -> None:
    for name, email in (("Carol", "Boss@Example.org"), ("Ünï", None), ("x@y.test", None), ("dave", "X@y.test")):
        users.add(ports, act(), name=name, password="Panel-3", role="user", email=email)
    for sent, known in (
        ("carol", "Carol"),
        ("CAROL", "Carol"),
        ("boss@example.ORG", "Carol"),
        ("ÜNÏ", "Ünï"),
        ("X@Y.TEST", "x@y.test"),
        ("alice", "alice"),
        ("nobody", "nobody"),
        ("NoBody", "nobody"),
        ("Alice\0", "alice\0"),
        ("\ud800A", "\ud800a"),
        ("", ""),
    ):
        assert sign_in.name_without_case(ports, sent) == known


def test_an_exact_name_wins_and_ambiguity_is_nobody(ports: Ports) -> None:
    for name in ("Carol", "carol"):
        users.add(ports, act(), name=name, password=f"of {name}", role="user")
    assert [sign_in.name_without_case(ports, sent) for sent in ("Carol", "carol")] == ["Carol", "carol"]
    users.remove(ports, act(), name="carol")
    users.add(ports, act(), name="CAROL", password="of CAROL", role="user")
    assert sign_in.name_without_case(ports, "carol") == "carol", "two users, and neither spells it so"


def test_spelling_a_name_in_other_ways_is_no_way_around_the_throttle(ports: Ports) -> None:
    users.add(ports, act(), name="Carol", password="Panel-3", role="user", email="c@example.org")
    for sent in ("carol", "CAROL", "c@example.org", "C@EXAMPLE.ORG", "caROL"):
        assert attempt(ports, sign_in.name_without_case(ports, sent)) is NotSignedIn
    assert attempt(ports, sign_in.name_without_case(ports, "Carol"), "Panel-3") is TooOften
    for sent in ("nobody", "NOBODY", "Nobody", "nObody", "noBody"):
        assert attempt(ports, sign_in.name_without_case(ports, sent)) is NotSignedIn
    assert attempt(ports, sign_in.name_without_case(ports, "nobodY")) is TooOften


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_names_in_any_case_are_an_index_search(ports: Ports) -> None:
    plan = found(
        ports,
        "EXPLAIN QUERY PLAN SELECT name FROM panel_user WHERE folded_name = 'a' OR folded_email = 'a'",
    )
    assert not [step for step in plan if "SCAN" in str(step)]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_burst_of_the_same_credentials_is_hashed_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    verify = Argon2id.verify

    def watched(hasher: Argon2id, stored: str, password: bytes) -> bool:
        hashed.append(stored)
        return verify(hasher, stored, password)

    monkeypatch.setattr(Argon2id, "verify", watched)
    single = replace(ports, passwords=Passwords(at_once=1))
    with ThreadPoolExecutor(4) as pool, single.passwords.checking():
        # Whoever waits for the turn now, and whoever only comes later: none pays twice.
        signed_in = [
            pool.submit(sign_in.by_password, single, name="alice", password=ALICE_SECRET, address="") for _ in range(4)
        ]
    assert {future.result().name for future in signed_in} == {"alice"}
    assert len(hashed) == 1
