"""Sealed values: bound to their purpose, opened by the key file, and by nothing else."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, MultiFernet

import config
from mailsvc.vault.seals import (
    REMEMBERED_BYTES,
    REMEMBERED_VALUES,
    CannotOpen,
    Seals,
    add_key,
    create_key_file,
    keep_newest,
)

PURPOSE = "dkim:example.com:mail"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret.keys"
    assert create_key_file(path)
    return path


@pytest.fixture
def seals(key_file: Path) -> Seals:
    return Seals(key_file)


@pytest.mark.parametrize("secret", [b"", b"x", b"\x00\xff", b"-----BEGIN PRIVATE KEY-----\n" * 100])
def test_what_was_sealed_opens_for_the_same_purpose(seals: Seals, secret: bytes) -> None:
    sealed = seals.seal(PURPOSE, secret)
    assert seals.open(PURPOSE, sealed) == secret
    assert seals.seal(PURPOSE, secret) != sealed


OTHERS = ["dkim:example.com:mail2", "dkim:example.com:mai", "dkim:example.org:mail", "smtp:example.com:mail", "", "é"]


@pytest.mark.parametrize("other", OTHERS)
def test_it_does_not_open_for_another_purpose(seals: Seals, other: str) -> None:
    with pytest.raises(CannotOpen, match="sealed for something else"):
        seals.open(other, seals.seal(PURPOSE, b"secret"))
    with pytest.raises(CannotOpen, match="sealed for something else"):
        seals.open(PURPOSE, seals.seal(other, b"secret"))


def test_the_end_of_a_purpose_is_not_the_beginning_of_a_secret(seals: Seals) -> None:
    with pytest.raises(CannotOpen):
        seals.open("dkim:a", seals.seal("dkim:", b"asecret"))
    with pytest.raises(CannotOpen):
        seals.open("dkim:", seals.seal("dkim:a", b"secret"))


def test_it_does_not_open_with_another_key(seals: Seals, tmp_path: Path) -> None:
    create_key_file(tmp_path / "other.keys")
    with pytest.raises(CannotOpen, match="does not open with the keys of") as refused:
        Seals(tmp_path / "other.keys").open(PURPOSE, seals.seal(PURPOSE, b"topsecret"))
    assert "topsecret" not in str(refused.value)


def test_a_damaged_value_does_not_open(seals: Seals) -> None:
    sealed = seals.seal(PURPOSE, b"secret")
    damaged = [b"", b"secret", sealed[:-4], sealed[::-1], sealed[4:], b"\xff\x00"]
    damaged += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(0, len(sealed) - 4, 7)]
    for value in damaged:
        with pytest.raises(CannotOpen, match="does not open"):
            seals.open(PURPOSE, value)
    assert seals.open(PURPOSE, sealed) == b"secret"


def test_the_first_key_seals_and_all_open(seals: Seals, key_file: Path) -> None:
    old = seals.seal(PURPOSE, b"old")
    key = Fernet.generate_key()
    key_file.write_bytes(key + b"\n" + key_file.read_bytes())
    assert seals.open(PURPOSE, old) == b"old"
    new = seals.seal(PURPOSE, b"new")
    key_file.write_bytes(key)
    assert seals.open(PURPOSE, new) == b"new"
    with pytest.raises(CannotOpen):
        seals.open(PURPOSE, old)


@pytest.mark.parametrize("content", [b"", b"\n", b"not a key", b"\xff\xfe", Fernet.generate_key()[:-4]])
def test_a_key_file_that_holds_no_keys_is_said_plainly(seals: Seals, key_file: Path, content: bytes) -> None:
    sealed = seals.seal(PURPOSE, b"secret")
    key_file.write_bytes(content)
    with pytest.raises(CannotOpen, match="does not hold Fernet keys"):
        seals.open(PURPOSE, sealed)
    with pytest.raises(CannotOpen, match="does not hold Fernet keys"):
        seals.seal(PURPOSE, b"secret")


def test_a_key_file_that_is_not_there_is_said_plainly(tmp_path: Path) -> None:
    missing = Seals(tmp_path / "absent.keys")
    for attempt in (missing.seal, missing.open):
        with pytest.raises(CannotOpen, match=r"absent\.keys: No such file or directory"):
            attempt(PURPOSE, b"secret")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_key_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert create_key_file(tmp_path / "secret.keys")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret.keys").stat().st_mode) == 0o600


def test_a_key_file_that_is_there_is_left_alone(seals: Seals, key_file: Path) -> None:
    sealed, before = seals.seal(PURPOSE, b"secret"), key_file.read_bytes()
    key_file.chmod(0o400)
    assert not create_key_file(key_file)
    assert key_file.read_bytes() == before
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o400
    assert seals.open(PURPOSE, sealed) == b"secret"


def test_of_many_who_make_it_at_once_one_does(tmp_path: Path) -> None:
    path = tmp_path / "secret.keys"
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: create_key_file(path), range(8)))
    assert made.count(True) == 1
    assert Seals(path).open(PURPOSE, Seals(path).seal(PURPOSE, b"secret")) == b"secret"


HAS_NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from mailsvc.vault.seals import create_key_file

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
create_key_file(Path(sys.argv[1]))
"""
"""Whatever is written is too much, as on a full disk."""


def test_a_key_file_that_could_not_be_written_is_not_left_behind(tmp_path: Path) -> None:
    """An empty one would be taken for the real one at the next start."""
    path = tmp_path / "secret.keys"
    program = [sys.executable, "-c", HAS_NO_ROOM, str(path)]
    made = subprocess.run(program, cwd=config.ROOT, capture_output=True, check=False)
    assert b"OSError" in made.stderr
    assert create_key_file(path)
    assert Seals(path).open(PURPOSE, Seals(path).seal(PURPOSE, b"secret")) == b"secret"


# Changing keys


def test_a_new_key_seals_at_once_and_the_old_one_opens(seals: Seals, key_file: Path) -> None:
    old = seals.seal(PURPOSE, b"secret")
    assert seals.resealed(old) is None
    add_key(key_file)
    new = seals.resealed(old)
    assert new is not None and seals.resealed(new) is None
    keep_newest(key_file, 1)
    assert seals.open(PURPOSE, new) == b"secret"
    for refused in (seals.resealed, lambda sealed: seals.open(PURPOSE, sealed)):
        with pytest.raises(CannotOpen):
            refused(old)


def test_what_is_sealed_anew_stays_bound_to_its_purpose(seals: Seals, key_file: Path) -> None:
    old = seals.seal(PURPOSE, b"secret")
    add_key(key_file)
    with pytest.raises(CannotOpen, match="sealed for something else"):
        seals.open("another", seals.resealed(old) or b"")


def test_only_the_newest_are_kept(key_file: Path) -> None:
    for _ in range(3):
        add_key(key_file)
    before = key_file.read_text().split()
    assert len(before) == len(set(before)) == 4
    keep_newest(key_file, 2)
    assert key_file.read_text().split() == before[:2]
    keep_newest(key_file, 2)
    assert key_file.read_text().split() == before[:2]


@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_what_is_no_key_file_gets_no_key(key_file: Path, content: bytes) -> None:
    key_file.write_bytes(content)
    with pytest.raises(ValueError):
        add_key(key_file)
    assert key_file.read_bytes() == content


def test_a_file_that_does_not_change_is_read_once(
    seals: Seals, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seals.seal(PURPOSE, b"secret")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))
    assert seals.open(PURPOSE, sealed) == b"secret"


# What is asked for often


@pytest.fixture
def decrypted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that was really opened."""
    seen: list[bytes] = []
    real = MultiFernet.decrypt

    def watched(self: MultiFernet, token: bytes, ttl: int | None = None) -> bytes:
        seen.append(token)
        return real(self, token, ttl)

    monkeypatch.setattr(MultiFernet, "decrypt", watched)
    return seen


def test_a_value_that_is_asked_for_often_is_opened_once(seals: Seals, decrypted: list[bytes]) -> None:
    sealed = seals.seal(PURPOSE, b"secret")
    assert [seals.open(PURPOSE, sealed, remember=True) for _ in range(3)] == [b"secret"] * 3
    assert decrypted == [sealed]
    again = seals.seal(PURPOSE, b"another", remember=True)
    assert seals.open(PURPOSE, again, remember=True) == b"another"
    assert decrypted == [sealed], "what was sealed just now is known"
    assert seals.open(PURPOSE, sealed, remember=True) == b"secret", "the value decides, not its purpose"
    assert decrypted == [sealed], "nor did the other one take its place"


def test_what_is_remembered_is_still_bound_to_its_purpose(seals: Seals) -> None:
    sealed = seals.seal(PURPOSE, b"secret", remember=True)
    for remember in (True, False):
        with pytest.raises(CannotOpen, match="sealed for something else"):
            seals.open("dkim:example.org:mail", sealed, remember=remember)


def test_nothing_is_remembered_beyond_its_key_file(seals: Seals, key_file: Path, decrypted: list[bytes]) -> None:
    sealed = seals.seal(PURPOSE, b"secret", remember=True)
    add_key(key_file)
    assert seals.open(PURPOSE, sealed, remember=True) == b"secret"
    assert decrypted == [sealed]
    keep_newest(key_file, 1)
    with pytest.raises(CannotOpen, match="does not open with the keys of"):
        seals.open(PURPOSE, sealed, remember=True)
    key_file.unlink()
    with pytest.raises(CannotOpen, match="cannot use the key file"):
        seals.open(PURPOSE, sealed, remember=True)


def test_what_is_remembered_is_bounded(seals: Seals, decrypted: list[bytes]) -> None:
    large = seals.seal(PURPOSE, b"x" * REMEMBERED_BYTES, remember=True)
    assert seals.open(PURPOSE, large, remember=True) == seals.open(PURPOSE, large, remember=True)
    assert decrypted == [large, large]
    values = {f"n:{number}": seals.seal(f"n:{number}", b"v", remember=True) for number in range(REMEMBERED_VALUES + 1)}
    decrypted.clear()
    for purpose, sealed in reversed(values.items()):
        assert seals.open(purpose, sealed, remember=True) == b"v"
    assert decrypted == [values["n:0"]], "the oldest had to go"
