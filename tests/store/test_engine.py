"""Connections and units of work: nothing lost under load, nothing half written, nothing acknowledged and gone."""

import shutil
import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

import config
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from mailsvc.services.ports import Ports
from mailsvc.store import Store
from mailsvc.store.engine import WRITE_LOCK, db
from mailsvc.store.models import AuditEntry, Domain, Mailbox, PanelUser
from tests.application import act, settings_for
from tests.store import catalogue
from tests.store.locking import impatient, locked, on_connect
from tests.store.processes import PORTS, child
from tests.store.units import SERIAL, count_up, note, noted, serial

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""


@pytest.fixture
def another(settings: config.Settings) -> Iterator[Store]:
    """A store on the same database with connections and queue of its own, as another process has."""
    opened = Store(Flask("mailsvc"), settings)
    yield opened
    opened.close()


@on_sqlite
def test_every_connection_of_the_pool_is_set_up(ports: Ports) -> None:
    wanted = {"foreign_keys": 1, "synchronous": 2, "wal_autocheckpoint": 0, "busy_timeout": 5000, "journal_mode": "wal"}
    with ExitStack() as taken:
        units = [taken.enter_context(ports.store.reading()) for _ in range(ports.settings.threads + 4)]
        assert len({id(unit.connection.dbapi_connection) for unit in units}) == len(units)
        for unit in units:
            assert {name: unit.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted} == wanted


@on_sqlite
def test_nothing_is_done_after_each_request(app: Flask, ports: Ports) -> None:
    """The extension's own session is never made, so that nobody need end it."""
    assert app.teardown_appcontext_funcs == []
    with app.test_request_context():
        mailboxes.listed(ports, act().acting)
        assert not db.session.registry.has()


@on_postgresql
def test_a_server_is_told_to_make_commits_durable_and_waits_short(ports: Ports) -> None:
    wanted = {"synchronous_commit": "on", "TimeZone": "UTC", "lock_timeout": "5s", "statement_timeout": "1min"}
    with ports.store.reading() as unit:
        assert {name: unit.exec_driver_sql(f"SHOW {name}").scalar() for name in wanted} == wanted


def test_a_row_cannot_refer_to_one_that_is_not_there(ports: Ports) -> None:
    with pytest.raises(IntegrityError), ports.store.writing() as unit:
        unit.execute(sa.update(Domain).values(owner_id=99))


def test_an_error_holds_nothing_of_what_it_is_about(ports: Ports) -> None:
    """Errors are logged, and rows hold hashes and sealed keys."""
    changes: list[dict[str, Any]] = [{"mailbox_count": -1}, {"name": None}, {"role": "{ARGON2ID}typed"}]
    for values in changes:
        with pytest.raises(IntegrityError) as refused, ports.store.writing() as unit:
            unit.execute(sa.update(PanelUser).where(PanelUser.name == "alice").values(values))
        assert "{ARGON2ID}" not in "".join(traceback.format_exception(refused.value))


def is_somebody_writing(settings: config.Settings) -> bool:
    if settings.database_file is None:
        assert settings.database_url is not None
        engine = sa.create_engine(settings.database_url)
        with engine.connect() as connection:
            free = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({WRITE_LOCK})").scalar()
        engine.dispose()
        return not free
    with closing(sqlite3.connect(settings.database_file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def test_a_unit_of_writing_has_the_lock_before_its_first_statement(ports: Ports, settings: config.Settings) -> None:
    assert not is_somebody_writing(settings)
    with ports.store.writing():
        assert is_somebody_writing(settings)
    assert not is_somebody_writing(settings)
    with ports.store.reading() as unit:
        assert unit.scalars(SERIAL).one() == 1
        assert not is_somebody_writing(settings)


def test_a_second_writer_waits_for_the_first(ports: Ports, another: Store) -> None:
    begun = threading.Event()

    def write() -> int:
        with another.writing() as unit:
            begun.set()
            return unit.scalars(SERIAL).one()

    with ThreadPoolExecutor() as threads:
        with ports.store.writing() as unit:
            second = threads.submit(write)
            count_up(unit)
            assert not begun.wait(0.3)
        assert second.result(LIMIT) == 2


def test_a_writer_of_the_same_process_does_not_wait_for_ever(ports: Ports) -> None:
    def write() -> None:
        with ports.store.writing() as unit:
            count_up(unit)

    with ThreadPoolExecutor() as threads:
        with ports.store.writing(), pytest.raises(TimeoutError):
            impatient(ports.store)
            threads.submit(write).result(LIMIT)
        threads.submit(write).result(LIMIT)
    assert serial(ports.store) == 2


def test_threads_that_read_and_then_write_lose_nothing(ports: Ports) -> None:
    def work(_: int) -> None:
        for _ in range(40):
            with ports.store.writing() as unit:
                count_up(unit)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert serial(ports.store) == 1 + 8 * 40


COUNTS_UP = f"""{PORTS}
from concurrent.futures import ThreadPoolExecutor, wait
from tests.store.test_engine import count_up

def work(_):
    for _ in range(20):
        with ports.store.writing() as unit:
            count_up(unit)

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(2) as threads:
    list(threads.map(work, range(2)))
"""


def test_processes_that_read_and_then_write_lose_nothing(ports: Ports, settings: config.Settings) -> None:
    with ExitStack() as ended:
        children = [ended.enter_context(child(settings, COUNTS_UP)) for _ in range(4)]
        assert [process.line() for process in children] == ["ready"] * 4
        for process in children:
            process.tell()
        assert [process.status() for process in children] == [0] * 4
    assert serial(ports.store) == 1 + 4 * 2 * 20


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_unit_that_raises_leaves_nothing(
    ports: Ports, settings: config.Settings, failure: type[BaseException]
) -> None:
    with pytest.raises(failure), ports.store.writing() as unit:
        count_up(unit)
        raise failure
    assert serial(ports.store) == 1
    assert not is_somebody_writing(settings)
    with ports.store.writing() as unit:
        count_up(unit)
    assert serial(ports.store) == 2


def test_a_reader_sees_each_commit_in_his_next_statement(ports: Ports, another: Store) -> None:
    with ports.store.reading() as unit:
        for number in range(1, 4):
            assert unit.scalars(SERIAL).one() == number
            with another.writing() as writer:
                count_up(writer)
                assert unit.scalars(SERIAL).one() == number


def test_nothing_that_a_reader_does_is_kept(ports: Ports) -> None:
    with ports.store.reading() as unit:
        try:
            count_up(unit)
        except DBAPIError:
            return
    assert serial(ports.store) == 1


def everything(store: Store) -> object:
    with store.reading() as unit:
        return catalogue.rows(unit)


def test_while_the_database_is_locked_nothing_is_acknowledged_and_nothing_half_written(
    ports: Ports, settings: config.Settings
) -> None:
    impatient(ports.store)
    before = everything(ports.store)
    address = mailbox_address("info@example.com")
    with locked(settings):
        for _ in range(2):
            with pytest.raises(DBAPIError, match="lock"):
                mailboxes.add(ports, act(), address=address, password="Box-1", quota_mib=0)
        assert everything(ports.store) == before, "readers are not held up"
    assert everything(ports.store) == before
    mailboxes.add(ports, act(), address=address, password="Box-1", quota_mib=0)
    assert everything(ports.store) != before


@on_sqlite
def test_the_wait_in_the_queue_and_that_for_the_lock_are_one_patience(
    ports: Ports, settings: config.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thread waits for another that waits in vain, and then as long again: for ever by this clock."""
    hour, moment, asked, both = 3600.0, [0.0], set[int](), threading.Event()

    def clock() -> float:
        shown = moment[0]
        asked.add(threading.get_ident())
        if len(asked) == 2:
            both.set()
        return shown

    def write() -> None:
        with ports.store.writing(hour):
            pass

    for module in ("engine", "writer"):
        monkeypatch.setattr(f"mailsvc.store.{module}.time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
    with ThreadPoolExecutor(2) as pool, locked(settings):
        writers = [pool.submit(write) for _ in range(2)]
        assert both.wait(LIMIT)
        moment[0] = hour
        for writer in writers:
            with pytest.raises(DBAPIError, match="lock"):
                writer.result(LIMIT)


@on_sqlite
def test_nobody_reads_through_the_connection_that_writes(ports: Ports) -> None:
    def driver_of(unit: Connection) -> object:
        return unit.connection.dbapi_connection

    writers = []
    for failure in (None, ValueError, None):
        with suppress(ValueError), ports.store.writing() as unit:
            writers.append(driver_of(unit))
            if failure is not None:
                raise failure
    assert writers == [writers[0]] * 3, "one is enough, and a refusal leaves it as it is"
    with ExitStack() as taken:
        units = [taken.enter_context(ports.store.reading()) for _ in range(ports.settings.threads + 4)]
        assert writers[0] not in [driver_of(unit) for unit in units]


@pytest.mark.parametrize("patience", [0, 0.05])
def test_who_has_less_patience_gives_up_sooner(
    ports: Ports, settings: config.Settings, patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else ends this wait: the test would fail by its own limit."""
    monkeypatch.setattr("mailsvc.store.engine.SQLITE_PRAGMAS", ("PRAGMA busy_timeout = 3600000",))
    monkeypatch.setattr("mailsvc.store.engine.POSTGRES_OPTIONS", "-c lock_timeout=1h")
    ports.store.close()
    store = Store(Flask("mailsvc"), settings)
    with locked(settings), pytest.raises(DBAPIError, match="lock"), store.writing(patience):
        pass
    with store.writing(patience) as unit:
        count_up(unit)
    store.close()


def fill_up(store: Store) -> tuple[list[str], list[str]]:
    """Write texts, two in each unit, until there is room for small ones at best: the acknowledged and the refused."""
    acknowledged: list[str] = []
    refused: list[str] = []
    for number, size in enumerate([*[100_000] * 90, *[2_000] * 20, 100_000]):
        names = [f"{number}-first", f"{number}-second"]
        try:
            with store.writing() as unit:
                for name in names:
                    note(unit, f"{name} {'x' * size}")
        except (DBAPIError, sqlite3.Error) as error:
            assert "full" in str(error) or "disk I/O" in str(error)
            refused += names
        else:
            acknowledged += names
    return acknowledged, refused


def assert_kept_promises(store: Store) -> None:
    acknowledged, refused = fill_up(store)
    assert acknowledged
    assert len(refused) > 2
    assert noted(store) == acknowledged
    store.close()
    assert noted(store) == acknowledged
    with store.reading() as unit:
        assert unit.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]


@on_sqlite
def test_a_database_that_may_not_grow_keeps_what_was_acknowledged_and_nothing_else(ports: Ports, file: Path) -> None:
    pages = file.stat().st_size // 4096 + 500
    on_connect(ports.store, lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}"))
    assert_kept_promises(ports.store)


# Full in the first log; in the first checkpoint; in a later one.
@pytest.mark.parametrize("small_disk", [2, 6, 10], indirect=True, ids="{}M".format)
def test_a_full_disk_keeps_what_was_acknowledged_and_nothing_else(small_disk: Path, sqlite_template: Path) -> None:
    directory = small_disk / "data"
    shutil.copytree(sqlite_template, directory)
    store = Store(Flask("mailsvc"), settings_for(directory))
    try:
        assert_kept_promises(store)
    finally:
        store.close()


BURST = f"""{PORTS}
import os
from concurrent.futures import ThreadPoolExecutor, wait
from argon2 import PasswordHasher
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from mailsvc.vault.argon2id import Argon2id
from tests.application import act, settings_for

# Cheap hashes: the more commits there are, the likelier is one cut short.
while not ports.passwords._hashers.empty():
    ports.passwords._hashers.get()
ports.passwords._hashers.put(Argon2id(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)))

def work(thread):
    for number in range(10_000):
        address = f"{{sys.argv[1]}}-{{thread}}-{{number}}@example.com"
        mailboxes.add(ports, act(), address=mailbox_address(address), password="Box-1", quota_mib=0)
        os.write(1, f"{{address}}\\n".encode())

with ThreadPoolExecutor(2) as threads:
    list(threads.map(work, range(2)))
"""


def test_what_was_acknowledged_survives_the_death_of_the_process(ports: Ports, settings: config.Settings) -> None:
    acknowledged = {"old@example.com"}
    for attempt, number in enumerate((1, 10, 60, 130)):
        with child(settings, BURST, f"u{attempt}") as burst:
            acknowledged |= {burst.line() for _ in range(number)}
            burst.kill()
            acknowledged |= set(burst.lines())
        # By writing, so as to wait for the end of whatever a server may still be at.
        with ports.store.writing() as unit:
            stored = set(unit.scalars(sa.select(Mailbox.address)))
            counted = unit.scalars(sa.select(PanelUser.mailbox_count).where(PanelUser.name == "alice")).one()
            of_mailboxes = sa.select(AuditEntry.object).where(AuditEntry.object.contains("@"))
            audited = set(unit.scalars(of_mailboxes))
        assert acknowledged <= stored
        assert len(stored - acknowledged) <= 2 * (attempt + 1), "at most one under way in each thread"
        assert counted == len(stored)
        assert audited == stored
        if settings.database_file is not None:
            with ports.store.reading() as unit:
                assert unit.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]


def test_more_threads_than_connections_were_planned_for_all_have_their_turn(ports: Ports) -> None:
    readers = ports.settings.threads + 8
    together = threading.Barrier(readers)

    def read(_number: int) -> int:
        with ports.store.reading() as unit:
            if ports.settings.database_file is not None:
                together.wait(60)
            return int(unit.scalar(sa.text("SELECT 1")) or 0)

    with ThreadPoolExecutor(readers) as threads:
        assert sum(threads.map(read, range(readers))) == readers
