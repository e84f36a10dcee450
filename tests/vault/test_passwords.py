"""Hashes that Dovecot reads, a bound on the work, and what is remembered of it."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import argon2
import pytest

from mailsvc.vault import passwords
from mailsvc.vault.passwords import SCHEME, Passwords, Remembered
from tests.vault.watched import watch

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""

FORM = r"\{ARGON2ID\}\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"
"""OWASP's parameters, a salt of 16 bytes and a digest of 32."""


@pytest.fixture
def two_at_once() -> Passwords:
    return Passwords(at_once=2)


def matches(checker: Passwords, stored: str, password: str) -> bool:
    with checker.checking() as check:
        return check(stored, password)


def test_a_hash_has_the_form_that_dovecot_reads(two_at_once: Passwords) -> None:
    stored = two_at_once.hash("correct horse")
    assert re.fullmatch(FORM, stored)
    assert argon2.PasswordHasher().verify(stored.removeprefix(SCHEME), "correct horse")
    assert two_at_once.hash("correct horse") != stored


@pytest.mark.parametrize("password", ["x", "x" * 256, " ", "Пароль ☃", "a\tb", "$argon2id$", "{ARGON2ID}"])
def test_only_the_same_password_matches(two_at_once: Passwords, password: str) -> None:
    stored = two_at_once.hash(password)
    assert matches(two_at_once, stored, password)
    for other in ("", password + " ", password[:-1], password.swapcase() + "x", stored):
        assert not matches(two_at_once, stored, other)


def test_a_hash_made_elsewhere_matches_with_or_without_its_scheme(two_at_once: Passwords) -> None:
    made = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=2, hash_len=16).hash("correct horse")
    for stored in (made, SCHEME + made):
        assert matches(two_at_once, stored, "correct horse")
        assert not matches(two_at_once, stored, "battery staple")


@pytest.mark.parametrize("stored", ["", SCHEME, "{CRYPT}x", "correct horse", f"{SCHEME}$argon2id$v=19$m=19456,t=2"])
def test_what_is_no_hash_matches_nothing(two_at_once: Passwords, stored: str) -> None:
    for password in ("", stored, "correct horse", "\ud800"):
        assert not matches(two_at_once, stored, password)


def test_a_password_that_is_no_text_matches_nothing(two_at_once: Passwords) -> None:
    stored = two_at_once.hash("?")
    assert matches(two_at_once, stored, "?")
    assert not matches(two_at_once, two_at_once.hash("\N{REPLACEMENT CHARACTER}"), "\ud800x")


def test_the_hash_of_nobody_costs_as_much_as_a_real_one_and_matches_nothing(two_at_once: Passwords) -> None:
    assert re.fullmatch(FORM, two_at_once.of_nobody)
    nobody, real = (
        argon2.extract_parameters(stored.removeprefix(SCHEME))
        for stored in (two_at_once.of_nobody, two_at_once.hash("correct horse"))
    )
    assert nobody == real
    for password in ("", "correct horse", two_at_once.of_nobody):
        assert not matches(two_at_once, two_at_once.of_nobody, password)
    assert Passwords(at_once=1).of_nobody != two_at_once.of_nobody


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_more_hashes_at_once_than_allowed(at_once: int) -> None:
    bounded = Passwords(at_once)
    stored = bounded.hash("correct horse")
    watched = watch(bounded)
    # As many as are allowed meet inside before any goes on; nobody beyond them may join.
    meeting = threading.Barrier(at_once)
    watched.within = lambda: meeting.wait(LIMIT)

    def work(number: int) -> object:
        return bounded.hash("x") if number % 2 else matches(bounded, stored, "correct horse")

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(12)))
    assert watched.most_at_once == at_once
    assert (watched.hashed, watched.checked) == (6, 6)


def test_a_turn_is_given_back_whatever_happens_in_it(two_at_once: Passwords) -> None:
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt), two_at_once.checking():
            raise KeyboardInterrupt
        with pytest.raises(UnicodeEncodeError):
            two_at_once.hash("\ud800")
    assert two_at_once.hash("x")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    set_by_hand = Clock()
    monkeypatch.setattr(passwords, "time", set_by_hand)
    return set_by_hand


def test_a_verified_pair_is_remembered_for_a_minute(clock: Clock) -> None:
    memory = Remembered()
    assert not memory.knows("hash", "secret")
    memory.add("hash", "secret")
    assert memory.knows("hash", "secret")
    clock.seconds += 59.9
    assert memory.knows("hash", "secret")
    clock.seconds += 0.1
    assert not memory.knows("hash", "secret")


def test_each_verification_counts_a_minute_anew(clock: Clock) -> None:
    memory = Remembered()
    memory.add("hash", "secret")
    clock.seconds += 50
    memory.add("hash", "secret")
    clock.seconds += 50
    assert memory.knows("hash", "secret")


def test_pairs_are_told_apart(clock: Clock) -> None:
    memory = Remembered()
    memory.add("hash", "secret")
    others = [("hash", "secre"), ("has", "hsecret"), ("hashs", "ecret"), ("", "hashsecret"), ("hash", "")]
    for stored, password in others:
        assert not memory.knows(stored, password)
    memory.add("hash", "\ud800")
    assert memory.knows("hash", "\ud800")


def test_memory_is_bounded_and_the_oldest_goes_first(clock: Clock) -> None:
    memory, most = Remembered(), passwords.REMEMBERED_PAIRS
    for number in range(most):
        memory.add("hash", str(number))
    memory.add("hash", "0")
    memory.add("hash", "one more")
    assert len(memory._until) == most
    assert not memory.knows("hash", "1")
    assert all(memory.knows("hash", password) for password in ("0", "2", str(most - 1), "one more"))


def test_neither_hashes_nor_passwords_are_held(clock: Clock) -> None:
    memory = Remembered()
    memory.add("stored-hash", "typed-secret")
    held = repr(vars(memory))
    assert "stored-hash" not in held
    assert "typed-secret" not in held
    other = Remembered()
    other.add("stored-hash", "typed-secret")
    assert set(other._until) != set(memory._until), "a digest says nothing without this process's key"


def test_threads_share_a_memory(clock: Clock) -> None:
    memory = Remembered()

    def work(number: int) -> None:
        for at in range(2000):
            memory.add(str(number), str(at))
            assert memory.knows(str(number), str(at))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(2)))
    assert len(memory._until) == 4000
