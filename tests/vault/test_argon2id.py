"""Hashes made in memory that is kept, and given back."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
import pytest

import config
from mailsvc.vault import passwords
from mailsvc.vault.argon2id import Argon2id
from mailsvc.vault.passwords import Passwords
from tests.service.running import wait_until

LIBRARY = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@pytest.fixture
def hasher() -> Iterator[Argon2id]:
    made = Argon2id(LIBRARY)
    yield made
    made.rest()


@pytest.mark.parametrize("password", ["x", "x" * 256, " ", "Пароль ☃", "a\tb", "$argon2id$"])
def test_the_library_takes_a_hash_for_its_own(hasher: Argon2id, password: str) -> None:
    stored = hasher.hash(password)
    assert LIBRARY.verify(stored, password)
    assert not LIBRARY.check_needs_rehash(stored)
    assert hasher.verify(stored, password.encode())
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        LIBRARY.verify(stored, password + "y")


@pytest.mark.parametrize("password", ["x", "x" * 256, " ", "Пароль ☃", "a\tb", "a\0b"])
def test_the_librarys_own_hash_is_checked_alike(hasher: Argon2id, password: str) -> None:
    stored = LIBRARY.hash(password)
    assert hasher.verify(stored, password.encode())
    for other in ("", password + "y", password[:-1]):
        with pytest.raises(argon2.exceptions.VerifyMismatchError):
            hasher.verify(stored, other.encode())


@pytest.mark.parametrize("place", [4, 5])
def test_one_other_character_is_another_hash(hasher: Argon2id, place: int) -> None:
    parts = hasher.hash("x").split("$")
    parts[place] = ("B" if parts[place][0] == "A" else "A") + parts[place][1:]
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        hasher.verify("$".join(parts), b"x")


def test_a_check_works_in_the_memory_of_the_hashes(hasher: Argon2id, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process holds two blocks while its first callers sign in and add mailboxes."""
    stored = hasher.hash("x")
    hasher.rest()
    monkeypatch.setattr(argon2.PasswordHasher, "verify", lambda *_: pytest.fail("the library took memory of its own"))
    assert hasher.verify(stored, b"x")
    assert hasher.holds_memory


def test_a_hash_after_a_rest_is_as_good(hasher: Argon2id) -> None:
    hasher.hash("first")
    hasher.rest()
    assert LIBRARY.verify(hasher.hash("second"), "second")


def test_every_hash_has_a_salt_of_its_own(hasher: Argon2id) -> None:
    assert len({hasher.hash("x") for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "library",
    [argon2.PasswordHasher(memory_cost=64, parallelism=2), argon2.PasswordHasher(time_cost=3, hash_len=16)],
    ids=["two lanes", "short digest"],
)
def test_other_parameters(library: argon2.PasswordHasher) -> None:
    assert library.verify(Argon2id(library).hash("x"), "x")


def test_several_at_once_do_not_share_memory() -> None:
    made = Passwords(at_once=3)
    words = [f"word {number}" for number in range(12)]
    with ThreadPoolExecutor(6) as threads:
        stored = list(threads.map(made.hash, words))
    for word, of_word in zip(words, stored, strict=True):
        assert LIBRARY.verify(of_word.removeprefix(passwords.SCHEME), word)


HASHES = """
import os
from mailsvc.vault.passwords import Passwords
from tests.vault.test_argon2id import largest_block
made = Passwords(at_once=1)
made.hash("x")
if {forked}:
    made.rest()
    if os.fork():
        os.wait()
        os._exit(0)
    made.hash("x")
print(os.getpid(), flush=True)
print(largest_block(os.getpid()), flush=True)
input()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says where memory is")
@pytest.mark.parametrize("forked", [False, True])
def test_the_memory_goes_back_when_no_more_hashes_are_asked_for(forked: bool) -> None:
    """Also in a process that was forked after the first hashes, as the workers are."""
    command = [sys.executable, "-c", HASHES.format(forked=forked)]
    with subprocess.Popen(command, cwd=config.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        pid = int(process.stdout.readline())
        assert int(process.stdout.readline()) >= 19_456
        wait_until(lambda: largest_block(pid) < 16_384, "the memory given back")
        process.stdin.close()


def largest_block(pid: int) -> int:
    """KiB in memory of the largest anonymous mapping."""
    text = Path(f"/proc/{pid}/smaps").read_text(encoding="ascii")
    return max(int(size) for size in re.findall(r"^Anonymous: +(\d+) kB", text, re.MULTILINE))


FORBIDDEN = """
import ctypes, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
from mailsvc.vault.passwords import Passwords
print(Passwords(at_once=1).hash("x"))
"""


def test_a_system_that_forbids_callbacks_hashes_without() -> None:
    """As systemd's MemoryDenyWriteExecute= does (prctl(2), PR_SET_MDWE)."""
    command = [sys.executable, "-c", FORBIDDEN]
    done = subprocess.run(command, cwd=config.ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel cannot forbid it")
    assert LIBRARY.verify(done.stdout.strip().removeprefix(passwords.SCHEME), "x"), done.stderr
