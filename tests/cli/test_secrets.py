"""``secrets rotate``: every sealed value under a new key, while everybody goes on, and whatever happens in between."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import LargeBinary, text

import config
from mailsvc import startup
from mailsvc.app import create_app
from mailsvc.core.smtp_profile import INSTALLATION, SmtpProfile
from mailsvc.services import dkim, domains, installation, secrets, settings_documents, smtp_profiles
from mailsvc.services.ports import Ports
from mailsvc.store.models import Base
from mailsvc.vault import seals
from mailsvc.vault.seals import CannotOpen, Seals
from tests.application import act
from tests.cli.command_line import CommandLine
from tests.service.running import wait_until
from tests.store import every_table
from tests.store.processes import PORTS, child

ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

SAID = "values were sealed with a new key"
ONE_OF_EACH = 6
"""Values that ``fill`` makes."""


def fill(ports: Ports) -> None:
    """One value in every column that holds sealed ones."""
    dkim.enable(ports, act(), domain="example.com")
    smtp_profiles.change(ports, act(), INSTALLATION, lambda old: SmtpProfile(host="relay.test"), "p", subject="x")
    save(ports, b'{"a":1}')
    installation.made_secret(ports, "test")
    sealed = {name: ports.seals.seal(name, b"p") for name in ("password", "smtp_password")}
    with ports.store.writing() as unit:
        every_table.insert(unit, "external_account", {**every_table.ROWS["external_account"], **sealed})


def document_of(ports: Ports, name: str = "example.com") -> settings_documents.Found:
    with ports.store.reading() as unit:
        found = settings_documents.of_name(unit, name)
    assert found
    return found


def save(ports: Ports, text: bytes, name: str = "example.com") -> str:
    return settings_documents.save(ports, act(), document_of(ports, name), text, lambda: None)


def stored(ports: Ports) -> list[tuple[str, bytes]]:
    """Every sealed value, with the name of its column."""
    values = []
    with ports.store.reading() as unit:
        for column in secrets.SEALED:
            name, where = column.name, column.table.name
            found = unit.execute(text(f"SELECT {name} FROM {where} WHERE {name} IS NOT NULL"))
            values += [(secrets.name_of(column), bytes(value)) for (value,) in found]
    return values


def keys(settings: config.Settings) -> list[str]:
    return settings.key_file.read_text().split()


def under(key: str, values: list[tuple[str, bytes]]) -> int:
    """How many of the values ``key`` has sealed."""
    found = 0
    for _, value in values:
        try:
            Fernet(key).decrypt(value)
            found += 1
        except InvalidToken:
            pass
    return found


DIGESTS = {"collected_source.identity", "collected_message.key", "collected_message.content"}
"""What is kept in bytes and is no secret."""


def test_every_blob_that_is_no_hash_is_known_to_be_sealed() -> None:
    blobs = {f"{t.name}.{c.name}" for t in Base.metadata.sorted_tables for c in t.columns
             if isinstance(getattr(c.type, "impl", c.type), LargeBinary)}  # fmt: skip
    assert blobs - DIGESTS == {secrets.name_of(column) for column in secrets.SEALED}
    assert {"dkim_key.private_key", "smtp_profile.password", "settings_document.content"} <= blobs


def let_settle(settings: config.Settings) -> None:
    """Let the last rotation be long ago."""
    os.utime(settings.key_file, (0, 0))


def test_every_value_is_sealed_anew_and_opens(cli: CommandLine, ports: Ports, settings: config.Settings) -> None:
    fill(ports)
    (old,), before = keys(settings), stored(ports)
    assert {name for name, _ in before} == {secrets.name_of(column) for column in secrets.SEALED}
    assert f"{ONE_OF_EACH} {SAID}" in cli("secrets", "rotate").text
    new, kept = keys(settings)
    assert kept == old and under(new, stored(ports)) == ONE_OF_EACH
    assert {name for name, _ in stored(ports)} == {name for name, _ in before}
    # A process that runs on sees it at once.
    assert settings_documents.opened(ports, document_of(ports))
    kept_profile = smtp_profiles.found(ports, INSTALLATION)
    assert kept_profile and ports.seals.open("smtp:installation", kept_profile.password or b"") == b"p"
    let_settle(settings)
    assert f"{ONE_OF_EACH} {SAID}" in cli("secrets", "rotate").text
    assert len(keys(settings)) == 2 and keys(settings)[1] == new
    assert under(keys(settings)[0], stored(ports)) == ONE_OF_EACH
    with ports.store.reading() as unit:
        trail = unit.execute(text("SELECT outcome FROM audit_entry WHERE operation = 'secrets rotate'")).all()
    assert [tuple(row) for row in trail] == [("done",), ("done",)]


def test_more_values_than_fit_one_batch(cli: CommandLine, ports: Ports, settings: config.Settings) -> None:
    count = secrets.BATCH * 2 + 1
    for number in range(count):
        domains.add(ports, act(), name=f"d{number}.example", owner="alice")
        save(ports, b'{"a":1}', f"d{number}.example")
    assert f"{count} {SAID}" in cli("secrets", "rotate").text
    assert under(keys(settings)[0], stored(ports)) == count


def test_nothing_to_seal(cli: CommandLine, settings: config.Settings) -> None:
    assert f"0 {SAID}" in cli("secrets", "rotate").text
    assert len(keys(settings)) == 2


# While others write

WRITES = (
    PORTS
    + """
from mailsvc import startup
from mailsvc.core.acts import Act
from mailsvc.services import settings_documents

act = Act("test", "write", "test", startup.THE_SERVICE)

def found():
    with ports.store.reading() as unit:
        return settings_documents.of_name(unit, sys.argv[1])

print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    settings_documents.save(ports, act, found(), b'{"n":%d}' % number, lambda: None)
    assert settings_documents.opened(ports, found())[1] == b'{"n":%d}' % number, number
print("done", flush=True)
"""
)


def test_nothing_that_others_write_meanwhile_is_lost(cli: CommandLine, ports: Ports, settings: config.Settings) -> None:
    fill(ports)
    writes = 150
    with (
        child(settings, WRITES, "bob.test", str(writes)) as first,
        child(settings, WRITES, "example.com", str(writes)) as second,
    ):
        assert (first.line(), second.line()) == ("ready", "ready")
        first.tell()
        second.tell()
        for _ in range(3):
            assert SAID in cli("secrets", "rotate").text
        assert (first.lines(), second.lines()) == (["done"], ["done"])
        assert (first.status(), second.status()) == (0, 0)
    for name in ("bob.test", "example.com"):
        assert settings_documents.opened(ports, document_of(ports, name))[1] == b'{"n":%d}' % (writes - 1)


def test_what_changed_since_it_was_read_is_left_alone(
    ports: Ports, settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ports)
    real = Seals.resealed
    changed: list[str] = []

    def meanwhile(self: Seals, sealed: bytes) -> bytes | None:
        new = real(self, sealed)
        if not changed and new is not None:
            changed.append(save(ports, b'{"b":2}'))
        return new

    monkeypatch.setattr(Seals, "resealed", meanwhile)
    secrets.rotate(ports, act("secrets rotate"))
    assert settings_documents.opened(ports, document_of(ports))[1] == b'{"b":2}'
    assert under(keys(settings)[0], stored(ports)) == ONE_OF_EACH


def test_what_was_sealed_a_moment_before_still_opens(ports: Ports, settings: config.Settings) -> None:
    sealed = ports.seals.seal("x", b"secret")
    secrets.rotate(ports, act())
    assert ports.seals.open("x", sealed) == b"secret"
    secrets.rotate(ports, act())
    assert ports.seals.open("x", sealed) == b"secret", "two rotations in a row are no reason to lose it"
    # One that nobody stored in time is not kept for ever.
    let_settle(settings)
    secrets.rotate(ports, act())
    with pytest.raises(CannotOpen):
        ports.seals.open("x", sealed)


# Cut short


@pytest.mark.parametrize("at", range(1, ONE_OF_EACH + 1))
def test_it_can_be_killed_and_run_again(
    ports: Ports, settings: config.Settings, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    fill(ports)
    real, count = Seals.resealed, []

    def dies(self: Seals, sealed: bytes) -> bytes | None:
        count.append(sealed)
        if len(count) == at:
            raise KeyboardInterrupt
        return real(self, sealed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Seals, "resealed", dies)
        secrets.rotate(ports, act())
    assert secrets.foreign(ports) == []
    let_settle(settings)
    assert secrets.rotate(ports, act()).unopened == {}
    assert under(keys(settings)[0], stored(ports)) == ONE_OF_EACH
    assert len(keys(settings)) == 2


ROTATES = (
    PORTS
    + """
from mailsvc import startup
from mailsvc.core.acts import Act
from mailsvc.services import secrets

print("ready", flush=True)
sys.stdin.readline()
print(secrets.rotate(ports, Act("test", "rotate", "test", startup.THE_SERVICE)), flush=True)
"""
)


@pytest.mark.parametrize("lines", [0, 1])
def test_a_power_cut_loses_nothing(cli: CommandLine, ports: Ports, settings: config.Settings, lines: int) -> None:
    fill(ports)
    for number in range(40):
        domains.add(ports, act(), name=f"d{number}.example", owner="alice")
        save(ports, b'{"a":1}', f"d{number}.example")
    with child(settings, ROTATES) as rotating:
        assert rotating.line() == "ready"
        rotating.tell()
        wait_until(lambda: not lines or len(keys(settings)) > lines, "a new key")
        rotating.kill()
    assert secrets.foreign(ports) == []
    assert SAID in cli("secrets", "rotate").text
    assert under(keys(settings)[0], stored(ports)) == ONE_OF_EACH + 40


def test_two_at_once_take_no_turns(ports: Ports, settings: config.Settings) -> None:
    with seals.rotation_of(settings.key_file) as alone, pytest.raises(secrets.CannotRotate, match="already"):
        assert alone
        secrets.rotate(ports, act())
    assert len(keys(settings)) == 1
    assert secrets.rotate(ports, act())


# The file


@ON_SQLITE
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_mode_owner_and_link_stay(ports: Ports, settings: config.Settings, tmp_path: Path, mode: int) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    settings.key_file.rename(real / "keys")
    (real / "keys").chmod(mode)
    if os.geteuid() == 0:
        os.chown(real / "keys", 12345, 12346)
    before = (real / "keys").stat()
    settings.key_file.symlink_to(real / "keys")
    secrets.rotate(ports, act())
    after = (real / "keys").stat()
    assert settings.key_file.is_symlink()
    assert (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid) == (mode, before.st_uid, before.st_gid)
    assert [path.name for path in real.iterdir()] == ["keys"]


@pytest.mark.parametrize("content", [None, b"", b"not a key\n"])
@ON_SQLITE
def test_a_key_file_that_is_none_is_left_alone(
    cli: CommandLine, settings: config.Settings, content: bytes | None
) -> None:
    settings.key_file.unlink()
    if content is not None:
        settings.key_file.write_bytes(content)
    assert "cannot change the key file" in cli("secrets", "rotate").refusal
    assert (settings.key_file.read_bytes() if settings.key_file.exists() else None) == content


# What does not open


def test_what_no_key_opens_stays_as_it_is(cli: CommandLine, ports: Ports, settings: config.Settings) -> None:
    fill(ports)
    settings.key_file.write_bytes(Fernet.generate_key())
    before = stored(ports)
    done = cli("secrets", "rotate")
    assert done.status == 0 and f"0 {SAID}" in done.out
    assert sorted(done.err.splitlines()) == sorted(
        f"{name}: 1 values open with none of the keys, and were left as they are" for name, _ in before
    )
    assert stored(ports) == before


@pytest.mark.parametrize("gone", [True, False])
def test_a_database_without_its_key_file_starts_and_says_what_does_not_open(
    settings: config.Settings, ports: Ports, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    fill(ports)
    names = [name for name, _ in stored(ports)]
    settings.key_file.unlink()
    if not gone:
        settings.key_file.write_bytes(Fernet.generate_key() + b"\n")
    app = create_app(settings)
    startup.prepare(app)
    app.extensions["mailsvc"].store.close()
    said = [record.getMessage() for record in caplog.records if "do not open" in record.getMessage()]
    assert len(said) == len(names) and all(any(name in line for line in said) for name in names)
    assert settings.key_file.exists()


def test_a_start_with_the_right_key_says_nothing(
    settings: config.Settings, ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    fill(ports)
    app: Any = create_app(settings)
    startup.prepare(app)
    app.extensions["mailsvc"].store.close()
    assert "do not open" not in caplog.text
