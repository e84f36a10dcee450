"""SQLite's log: kept short, put into the database in time, and never while somebody writes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailsvc.services.ports import Ports
from mailsvc.store import checkpoint, files
from tests.store.units import count_up, note, serial

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def in_main_file(database: Path, directory: Path) -> int:
    """The serial of bob.test as it is in the database file alone, without its log."""
    alone = directory / "alone.sqlite3"
    alone.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(alone)) as connection:
        found: int = connection.execute("SELECT zone_serial FROM domain WHERE name = 'bob.test'").fetchone()[0]
    return found


@on_sqlite
def test_a_short_log_stays_and_a_long_one_goes_into_the_database(ports: Ports, file: Path, tmp_path: Path) -> None:
    with ports.store.writing() as unit:
        count_up(unit)
    assert in_main_file(file, tmp_path) == 1
    with ports.store.writing() as unit:
        note(unit, "x" * checkpoint.LOG_BYTES)
    assert in_main_file(file, tmp_path) == 2


@on_sqlite
def test_a_checkpoint_is_put_off_while_somebody_writes(ports: Ports, file: Path, tmp_path: Path) -> None:
    with ports.store.writing() as unit:
        count_up(unit)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert not checkpoint.now(file)
        assert in_main_file(file, tmp_path) == 1
        writer.execute("ROLLBACK")
    assert checkpoint.now(file)
    assert in_main_file(file, tmp_path) == 2
    assert serial(ports.store) == 2


@on_sqlite
def test_many_commits_reuse_the_log(ports: Ports, file: Path) -> None:
    log, _ = files.companions(file)
    bound = checkpoint.LOG_BYTES + 1024 * 1024
    for _ in range(60):
        with ports.store.writing() as unit:
            note(unit, "x" * 300_000)
        assert log.stat().st_size < bound
    assert file.stat().st_size > 3 * bound


@on_sqlite
def test_the_log_is_written_in_place(ports: Ports, file: Path) -> None:
    """To sync a file that grows takes more than twice as long."""
    log, _ = files.companions(file)
    with ports.store.writing() as unit:
        note(unit, "x" * checkpoint.LOG_BYTES)
    for _ in range(20):
        with ports.store.writing() as unit:
            note(unit, "x" * 100_000)
        assert log.stat().st_size == checkpoint.LOG_BYTES


@on_sqlite
def test_a_log_that_a_reader_held_up_is_reused_afterwards(ports: Ports, file: Path) -> None:
    def write(times: int) -> int:
        for _ in range(times):
            with ports.store.writing() as unit:
                note(unit, "x" * 300_000)
        return files.companions(file)[0].stat().st_size

    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM audit_entry").fetchone()
        grown = write(30)
        assert grown > 2 * checkpoint.LOG_BYTES
        assert reader.execute("SELECT count(*) FROM audit_entry").fetchone() == before
    assert write(60) < grown + checkpoint.LOG_BYTES


@on_sqlite
def test_a_checkpoint_is_not_due_again_at_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []
    carry_out = checkpoint.now
    monkeypatch.setattr(checkpoint, "now", lambda file: done.append(carry_out(file)))
    with ports.store.writing() as unit:
        note(unit, "x" * checkpoint.LOG_BYTES)
    assert done == [True]
    for _ in range(20):
        with ports.store.writing() as unit:
            count_up(unit)
    assert done == [True]


def test_a_database_without_a_log_is_left_alone(tmp_path: Path) -> None:
    checkpoint.when_due(tmp_path / "absent.sqlite3")
    assert list(tmp_path.iterdir()) == []
