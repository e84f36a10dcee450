"""Copies made and put back while everybody goes on working."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

import config
from mailsvc.services import backups, spf
from mailsvc.services.backups import CannotCopy
from mailsvc.services.ports import Ports, open_ports
from mailsvc.store import schema
from tests.application import act, settings_for
from tests.services.callers import add_mailbox, everything, found
from tests.services.world import World
from tests.store.catalogue import VERSION_TABLE
from tests.store.later import LATER, add_later_revision
from tests.store.processes import PORTS, child

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""

PAGE = 4096


@pytest.fixture
def engine() -> str:
    """PostgreSQL has tools of its own for this."""
    return "sqlite"


@pytest.fixture
def file(settings: config.Settings) -> Path:
    """The database."""
    assert settings.database_file is not None
    return settings.database_file


@pytest.fixture
def copy(ports: Ports, tmp_path: Path) -> Path:
    """A copy made before ``later@example.com`` was."""
    target = tmp_path / "copies" / "copy.sqlite3"
    target.parent.mkdir()
    backups.back_up(ports, target)
    add_mailbox(ports, "later@example.com")
    return target


def read(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def mailboxes_in(file: Path) -> list[object]:
    return [address for (address,) in read(file, "SELECT address FROM mailbox ORDER BY 1")]


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


WRITES = f"""{PORTS}
from tests.store.test_engine import count_up, note

print("ready", flush=True)
while True:
    with ports.store.writing() as unit:
        count_up(unit)
        note(unit, "x" * 20_000)
"""


def test_a_copy_made_while_somebody_writes_is_of_one_moment(
    ports: Ports, settings: config.Settings, tmp_path: Path
) -> None:
    target, seen = tmp_path / "copy.sqlite3", []
    with child(settings, WRITES) as writer:
        assert writer.line() == "ready"
        for _ in range(6):
            backups.back_up(ports, target)
            assert read(target, "PRAGMA integrity_check") == [("ok",)]
            [(serial, notes)] = read(
                target,
                "SELECT zone_serial, (SELECT count(*) FROM audit_entry WHERE operation = '')"
                " FROM domain WHERE name = 'bob.test'",
            )
            assert serial == 1 + int(str(notes))
            seen.append(int(str(serial)))
        assert writer.process.poll() is None, "it was not disturbed"
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_a_copy_is_one_file_that_only_its_owner_can_read(ports: Ports, tmp_path: Path) -> None:
    directory = tmp_path / "copies"
    directory.mkdir()
    with ports.store.reading():
        backups.back_up(ports, directory / "copy.sqlite3")
    assert names_in(directory) == {"copy.sqlite3"}
    assert (directory / "copy.sqlite3").stat().st_mode & 0o7777 == 0o600
    assert read(directory / "copy.sqlite3", "PRAGMA journal_mode") == [("delete",)]
    assert mailboxes_in(directory / "copy.sqlite3") == ["old@example.com"]


def test_an_older_copy_is_replaced_in_one_step(ports: Ports, copy: Path) -> None:
    with copy.open("rb") as reader:
        backups.back_up(ports, copy)
        older = copy.with_name("older.sqlite3")
        older.write_bytes(reader.read())
    assert mailboxes_in(copy) == ["later@example.com", "old@example.com"]
    assert mailboxes_in(older) == ["old@example.com"]


def test_a_log_that_lies_beside_the_target_does_not_become_part_of_the_copy(ports: Ports, tmp_path: Path) -> None:
    """As after ``cp mailsvc.sqlite3*`` of a running service to the same place."""
    directory = tmp_path / "copies"
    directory.mkdir()
    with ports.store.reading():
        add_mailbox(ports, "first@example.com")
        for path in ports.settings.data_dir.glob("*sqlite3*"):
            shutil.copy(path, directory)
        add_mailbox(ports, "second@example.com")
        backups.back_up(ports, directory / "mailsvc.sqlite3")
    assert mailboxes_in(directory / "mailsvc.sqlite3") == ["first@example.com", "old@example.com", "second@example.com"]


@pytest.mark.parametrize("name", ["secret.keys", "notes.txt", "empty", "mailsvc.sqlite3-wal"])
def test_what_is_not_a_copy_is_not_overwritten(ports: Ports, name: str) -> None:
    directory = ports.settings.data_dir
    (directory / "notes.txt").write_text("precious")
    (directory / "empty").touch()
    with ports.store.reading():
        add_mailbox(ports, "info@example.com")
        there, before = names_in(directory), (directory / name).read_bytes()
        with pytest.raises(CannotCopy, match=name):
            backups.back_up(ports, directory / name)
        assert (directory / name).read_bytes() == before
        assert names_in(directory) == there


def test_the_database_is_no_target_of_its_own_copy(ports: Ports, file: Path) -> None:
    add_mailbox(ports, "first@example.com")
    link = file.with_name("link.sqlite3")
    link.hardlink_to(file)
    alias = file.with_name("alias.sqlite3")
    alias.symlink_to(file)
    before = file.stat().st_ino
    for target in (file, link, alias):
        with pytest.raises(CannotCopy):
            backups.back_up(ports, target)
        assert (file.stat().st_ino, target.stat().st_ino) == (before, before)
    add_mailbox(ports, "second@example.com")
    ports.store.close()
    assert mailboxes_in(file) == ["first@example.com", "old@example.com", "second@example.com"]


def test_a_target_that_cannot_be_written_is_one_clear_line(ports: Ports, tmp_path: Path) -> None:
    with pytest.raises(CannotCopy, match=r"^cannot write in .*absent: No such file or directory$"):
        backups.back_up(ports, tmp_path / "absent" / "copy.sqlite3")


def swell(ports: Ports) -> None:
    """Make the database two megabytes larger."""
    with ports.store.writing() as unit:
        for number in range(20):
            unit.exec_driver_sql(
                "INSERT INTO audit_entry (at, dialect, operation, caller, acting, object, outcome, code)"
                " VALUES (0, '', '', '', '', ?, '', 0)",
                (f"{number}" + "x" * 100_000,),
            )


@pytest.mark.parametrize("small_disk", [1], indirect=True)
def test_a_full_disk_leaves_the_older_copy(ports: Ports, small_disk: Path) -> None:
    target = small_disk / "copy.sqlite3"
    backups.back_up(ports, target)
    before = target.read_bytes()
    swell(ports)
    with pytest.raises(CannotCopy, match="full"):
        backups.back_up(ports, target)
    assert target.read_bytes() == before
    assert names_in(small_disk) == {"copy.sqlite3"}


LOOKS = f"""{PORTS}
import sqlite3
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from tests.application import act

plain = sqlite3.connect(ports.settings.database_file, timeout=0, isolation_level=None)
with ports.store.reading() as unit:
    for line in sys.stdin:
        if line.strip():
            mailboxes.add(ports, act(), address=mailbox_address(line.strip()), password="Box-1", quota_mib=0)
        query = "SELECT address FROM postfix_mailbox ORDER BY 1"
        print(*unit.exec_driver_sql(query).scalars(), *[address for (address,) in plain.execute(query)], flush=True)
"""


def twice(*addresses: str) -> str:
    """What both connections of LOOKS see."""
    return " ".join(addresses * 2)


def test_what_is_restored_is_seen_at_once_by_whoever_is_connected(
    ports: Ports, settings: config.Settings, file: Path, copy: Path
) -> None:
    inode, mode = file.stat().st_ino, file.stat().st_mode
    with child(settings, LOOKS) as other, ports.store.reading() as unit:
        other.tell()
        assert other.line() == twice("later@example.com", "old@example.com")
        replaced = backups.restore(ports, copy)
        other.tell()
        assert other.line() == twice("old@example.com")
        assert unit.exec_driver_sql("SELECT address FROM mailbox").all() == [("old@example.com",)]
        assert unit.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        other.tell("new@example.com")
        assert other.line() == twice("new@example.com", "old@example.com")
    assert (file.stat().st_ino, file.stat().st_mode) == (inode, mode)
    assert read(file, "PRAGMA journal_mode") == [("wal",)]
    assert read(file, "PRAGMA integrity_check") == [("ok",)]
    assert mailboxes_in(replaced) == ["later@example.com", "old@example.com"]
    assert replaced.stat().st_mode & 0o7777 == 0o600
    assert read(replaced, "PRAGMA journal_mode") == [("delete",)]


def test_nothing_is_left_lying_about(ports: Ports, file: Path, copy: Path) -> None:
    with ports.store.reading():
        there = names_in(file.parent)
        replaced = backups.restore(ports, copy)
        assert names_in(file.parent) == there | {replaced.name}
    assert names_in(copy.parent) == {copy.name}


def test_what_was_replaced_can_be_put_back(ports: Ports, copy: Path) -> None:
    before = everything(ports)
    replaced = backups.restore(ports, copy)
    assert everything(ports) != before
    again = backups.restore(ports, replaced)
    assert everything(ports) == before
    assert again != replaced


def test_what_is_committed_while_a_restore_waits_its_turn_is_kept(ports: Ports, file: Path, copy: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer, ThreadPoolExecutor() as threads:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE domain SET zone_serial = 77 WHERE name = 'bob.test'")
        restored = threads.submit(backups.restore, ports, copy)
        with pytest.raises(TimeoutError):
            restored.result(0.5)
        writer.execute("COMMIT")
        replaced = restored.result(LIMIT)
    assert read(replaced, "SELECT zone_serial FROM domain WHERE name = 'bob.test'") == [(77,)]
    assert found(ports, "SELECT zone_serial FROM domain WHERE name = 'bob.test'") == [(1,)]


def truncated(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[: 5 * PAGE + 100])


def with_an_emptied_page(copy: Path) -> None:
    pages = copy.read_bytes()
    copy.write_bytes(pages[: 4 * PAGE] + bytes(PAGE) + pages[5 * PAGE :])


def with_a_wrong_index(copy: Path) -> None:
    """Whole by its pages, but a look-up by address finds nothing."""
    flipped = copy.read_bytes().replace(b"old@example.com", b"olf@example.com", 1)
    copy.write_bytes(flipped)


def with_an_orphan(copy: Path) -> None:
    change(copy, "PRAGMA foreign_keys = OFF", "UPDATE mailbox SET domain_id = 99")


def newer(copy: Path) -> None:
    change(copy, f"UPDATE {VERSION_TABLE} SET version_num = '9999'", "CREATE TABLE of_the_future (id INTEGER)")


def foreign(copy: Path) -> None:
    copy.unlink()
    change(copy, "CREATE TABLE mailbox (address TEXT)", "INSERT INTO mailbox VALUES ('a@b.example')")


def foreign_with_names_like_ours(copy: Path) -> None:
    """Anything that uses Alembic and has panel users."""
    foreign(copy)
    change(copy, f"CREATE TABLE {VERSION_TABLE} (version_num TEXT)", "CREATE TABLE panel_user (id INTEGER)")


def foreign_at_a_revision_like_ours(copy: Path) -> None:
    foreign_with_names_like_ours(copy)
    change(copy, f"INSERT INTO {VERSION_TABLE} VALUES ('{schema.HEAD}')")


def without_a_table(copy: Path) -> None:
    change(copy, "DROP VIEW postfix_alias", "DROP VIEW postfix_sender_login", "DROP TABLE forward_target")


def a_header_alone(copy: Path) -> None:
    copy.write_bytes(backups.HEADER)


def a_text(copy: Path) -> None:
    copy.write_text("INSERT INTO mailbox ...")


def an_empty_file(copy: Path) -> None:
    copy.write_bytes(b"")


def a_directory(copy: Path) -> None:
    copy.unlink()
    copy.mkdir()


def absent(copy: Path) -> None:
    copy.unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "damaged|malformed"),
        (with_an_emptied_page, "damaged|malformed"),
        (with_a_wrong_index, "damaged"),
        (with_an_orphan, "refers to a row that is not there"),
        (newer, "newer mailsvc.*9999"),
        (foreign, "not a database of mailsvc"),
        (foreign_with_names_like_ours, "not a database of mailsvc"),
        (foreign_at_a_revision_like_ours, "not a database of mailsvc"),
        (without_a_table, "not a database of mailsvc|damaged"),
        (a_header_alone, "not a database"),
        (a_text, "not a copy of a database"),
        (an_empty_file, "not a copy of a database"),
        (a_directory, "not a copy of a database"),
        (absent, "not a copy of a database"),
    ],
)
def test_a_copy_that_is_no_good_is_refused_and_replaces_nothing(
    ports: Ports, file: Path, copy: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(copy)
    given = copy.read_bytes() if copy.is_file() else None
    with ports.store.reading():
        before, there = everything(ports), names_in(file.parent)
        with pytest.raises(CannotCopy, match=reason) as refused:
            backups.restore(ports, copy)
        assert "\n" not in str(refused.value)
        assert everything(ports) == before
        assert names_in(file.parent) == there
    assert (copy.read_bytes() if copy.is_file() else None) == given


def test_whatever_bytes_are_wrong_a_copy_is_refused_or_whole(ports: Ports, file: Path, copy: Path) -> None:
    good = copy.read_bytes()
    refused = 0
    for seed in range(40):
        chance = random.Random(seed)
        at = chance.randrange(100, len(good) - 64)
        copy.write_bytes(good[:at] + chance.randbytes(64) + good[at + 64 :])
        before = everything(ports)
        try:
            backups.restore(ports, copy).unlink()
        except CannotCopy:
            refused += 1
            assert everything(ports) == before
        assert read(file, "PRAGMA integrity_check") == [("ok",)]
    assert 0 < refused < 40


def test_an_older_copy_is_brought_up_to_date(
    ports: Ports, file: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = schema.HEAD
    add_later_revision(tmp_path, monkeypatch)
    schema.upgrade(ports.store.engine)
    replaced = backups.restore(ports, copy)
    assert read(file, f"SELECT version_num FROM {VERSION_TABLE}") == [(LATER,)]
    assert mailboxes_in(file) == ["old@example.com"]
    assert read(replaced, f"SELECT version_num FROM {VERSION_TABLE}") == [(LATER,)]
    assert read(copy, f"SELECT version_num FROM {VERSION_TABLE}") == [(current,)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(tmp_path / "world")


SPF = {("example.com", "v=spf1 mx ~all")}


def test_after_a_restore_dns_is_made_equal_to_what_the_copy_says(ports: Ports, world: World, tmp_path: Path) -> None:
    ports = replace(ports, dns=world)
    copies = [tmp_path / "on.sqlite3", tmp_path / "off.sqlite3"]
    for copy, switch in zip(copies, (spf.enable, spf.disable), strict=True):
        switch(ports, act(), domain="example.com")
        backups.back_up(ports, copy)
    for copy, shown in zip(copies, (SPF, set()), strict=True):
        backups.restore(ports, copy)
        assert found(ports, "SELECT settled, busy_until FROM dns_record") == [(0, None)]
        [settled] = backups.settle(ports)
        assert (settled.name, settled.enabled, settled.failure) == ("example.com", bool(shown), None)
        assert world.shown == shown
        assert found(ports, "SELECT settled FROM dns_record") == [(1,)]


def test_a_record_that_the_copy_does_not_know_is_withdrawn(ports: Ports, world: World, copy: Path) -> None:
    ports = replace(ports, dns=world)
    spf.enable(ports, act(), domain="example.com")
    backups.restore(ports, copy)
    backups.settle(ports)
    assert world.shown == set()


def test_the_keys_are_no_part_of_it(ports: Ports, copy: Path) -> None:
    keys = ports.settings.key_file
    before = keys.read_bytes()
    assert before.strip() not in copy.read_bytes()
    backups.restore(ports, copy)
    assert keys.read_bytes() == before


def test_a_database_that_is_past_reading_is_kept_as_it_is(ports: Ports, file: Path, copy: Path) -> None:
    ports.store.close()
    ruin = b"no database" * PAGE
    file.write_bytes(ruin)
    with pytest.raises(CannotCopy, match="too damaged") as refused:
        backups.restore(ports, copy)
    assert "\n" not in str(refused.value)
    assert file.read_bytes() == ruin
    [kept] = file.parent.glob("*replaced*")
    assert kept.read_bytes() == ruin


@pytest.mark.parametrize("small_disk", [16], indirect=True)
@pytest.mark.parametrize("room", [0.5, 1.5, 2.5], ids=["the draft", "what is to be kept", "the log"])
def test_a_full_disk_replaces_nothing(sqlite_template: Path, small_disk: Path, tmp_path: Path, room: float) -> None:
    shutil.copytree(sqlite_template, small_disk, dirs_exist_ok=True)
    ports = open_ports(Flask("mailsvc"), settings_for(small_disk))
    database, copy = small_disk / "mailsvc.sqlite3", tmp_path / "copy.sqlite3"
    swell(ports)
    backups.back_up(ports, copy)
    add_mailbox(ports, "later@example.com")
    ports.store.close()
    there = names_in(small_disk)
    left = int(room * database.stat().st_size)
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - left))
    with pytest.raises(CannotCopy, match=r"^the copy failed: database or disk is full$"):
        backups.restore(ports, copy)
    assert mailboxes_in(database) == ["later@example.com", "old@example.com"]
    assert names_in(small_disk) == there | {"filler"}


def test_a_database_with_a_damaged_page_is_replaced(ports: Ports, file: Path, copy: Path) -> None:
    ports.store.close()
    with_an_emptied_page(file)
    backups.restore(ports, copy)
    assert mailboxes_in(file) == ["old@example.com"]
    assert read(file, "PRAGMA integrity_check") == [("ok",)]


def test_postgresql_is_left_to_its_own_tools(tmp_path: Path) -> None:
    url = "postgresql+psycopg://nobody@/nowhere?host=/nonexistent"
    ports = open_ports(Flask("mailsvc"), settings_for(tmp_path, DATABASE_URL=url))
    for attempt in (backups.back_up, backups.restore):
        with pytest.raises(CannotCopy, match="pg_dump"):
            attempt(ports, tmp_path / "copy.sqlite3")
    assert list(tmp_path.iterdir()) == []
