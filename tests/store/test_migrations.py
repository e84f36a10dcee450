"""The schema's history: up, down, with data, by several processes at once, and equal to the models."""

import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError

import config
from mailsvc import startup
from mailsvc.app import create_app
from mailsvc.core import zone_names
from mailsvc.store import HEAD, Store, schema
from mailsvc.store.models import Base
from tests.store import catalogue, every_table
from tests.store.conftest import NewDatabase
from tests.store.later import LATER, add_later_revision
from tests.store.processes import PORTS, child

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

NEWER = "9999"


def scripts() -> ScriptDirectory:
    alembic = Config()
    alembic.set_main_option("script_location", str(schema.MIGRATIONS))
    return ScriptDirectory.from_config(alembic)


def describe(store: Store) -> tuple[object, object]:
    with store.reading() as unit:
        return catalogue.tables(unit), catalogue.views(unit)


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.reading() as unit:
        return catalogue.rows(unit)


def version(store: Store) -> str | None:
    with store.reading() as unit:
        return schema.version(unit)


def fill(store: Store) -> None:
    with store.writing() as unit:
        every_table.fill(unit)


def test_up_down_and_up_again(store: Store) -> None:
    assert version(store) is None
    schema.upgrade(store.engine)
    there = describe(store)
    assert version(store) == HEAD
    fill(store)

    schema.downgrade(store.engine, "base")
    assert describe(store) == ({}, {})
    assert version(store) is None

    schema.upgrade(store.engine)
    assert describe(store) == there
    assert version(store) == HEAD
    fill(store)


@pytest.mark.parametrize("revision", schema.KNOWN)
def test_every_revision_goes_down_to_exactly_what_was_there_before_it(store: Store, revision: str) -> None:
    before = scripts().get_revision(revision).down_revision or "base"
    if before != "base":
        schema.upgrade(store.engine, str(before))
    expected = describe(store)
    schema.upgrade(store.engine, revision)
    assert describe(store) != expected
    schema.downgrade(store.engine, str(before))
    assert describe(store) == expected


def test_every_table_has_a_row_in_these_tests(store: Store) -> None:
    schema.upgrade(store.engine)
    fill(store)
    with store.reading() as unit:
        assert set(catalogue.tables(unit)) == set(every_table.ROWS)
    assert all(len(found) == 1 for found in rows(store).values())


def test_an_upgrade_of_a_current_database_changes_nothing(store: Store) -> None:
    schema.upgrade(store.engine)
    fill(store)
    there, kept = describe(store), rows(store)
    schema.upgrade(store.engine)
    assert (describe(store), rows(store)) == (there, kept)


def test_a_rebuild_of_a_table_loses_no_row_that_refers_to_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = schema.HEAD
    add_later_revision(tmp_path, monkeypatch)
    schema.upgrade(store.engine, current)
    fill(store)
    there, kept = describe(store), rows(store)
    schema.upgrade(store.engine, LATER)
    assert describe(store) != there
    assert rows(store) == {**kept, catalogue.VERSION_TABLE: [(LATER,)]}
    with pytest.raises(IntegrityError), store.writing() as unit:
        every_table.insert(unit, "domain", {**every_table.ROWS["domain"], "id": 9, "name": "b.test", "owner_id": 99})
    schema.downgrade(store.engine, current)
    assert rows(store) == kept


def test_the_third_revision_gives_every_domain_its_names_and_keeps_all_rows(store: Store) -> None:
    schema.upgrade(store.engine, "0002")
    fill(store)
    kept = rows(store)
    schema.upgrade(store.engine, "0003")
    there = rows(store)
    serials = [row for row in there["domain"] if row[1] == "example.com"]
    assert [row[3] for row in serials] == [8], "the zones have changed"
    expected = sorted((f"{label}.example.com", 2, label) for label in zone_names.LABELS)
    assert sorted(there["zone_name"]) == expected
    unchanged = set(kept) - {"domain", catalogue.VERSION_TABLE}
    assert {table: there[table] for table in unchanged} == {table: kept[table] for table in unchanged}
    schema.downgrade(store.engine, "0002")
    assert {table: rows(store)[table] for table in unchanged} == {table: kept[table] for table in unchanged}


UPGRADES = f"""{PORTS}
import alembic.command, alembic.config
from mailsvc.store import schema

print("ready", flush=True)
sys.stdin.readline()
schema.upgrade(ports.store.engine)
"""

PREPARES = f"""{PORTS}
import alembic.command, alembic.config
from mailsvc import startup

app = Flask("mailsvc")
app.extensions["mailsvc"] = ports
print("ready", flush=True)
sys.stdin.readline()
startup.prepare(app)
"""


@pytest.mark.parametrize("program", [UPGRADES, PREPARES], ids=["upgrade", "prepare"])
def test_processes_that_start_at_once_all_succeed_and_the_schema_is_there_once(
    empty: config.Settings, store: Store, program: str
) -> None:
    with ExitStack() as ended:
        children = [ended.enter_context(child(empty, program)) for _ in range(3)]
        for process in children:
            assert process.line() == "ready"
        for process in children:
            process.tell()
        assert [process.status() for process in children] == [0, 0, 0]
    assert rows(store)[catalogue.VERSION_TABLE] == [(HEAD,)]
    if program == PREPARES:
        assert len(rows(store)["panel_user"]) == len(rows(store)["server"]) == 1


@on_sqlite
def test_a_start_waits_for_whoever_writes_a_database_without_a_log(empty: config.Settings) -> None:
    """SQLite does not wait by itself then: another service may be starting, or a copy was put in place by hand."""
    file = empty.database_file
    assert file is not None
    app = create_app(empty)
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError), closing(sqlite3.connect(file, timeout=LIMIT)) as impatient:
            impatient.execute("PRAGMA journal_mode = WAL")
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(startup.prepare, app)
            with pytest.raises(TimeoutError):
                start.result(0.3)
            other.execute("ROLLBACK")
            start.result(LIMIT)
    with app.extensions["mailsvc"].store.reading() as unit:
        assert unit.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_an_upgrade_that_fails_leaves_nothing_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "CREATE VIEW postfix_domain AS SELECT name FROM domain;\nCREATE VIEW x AS SELEKT"
    (tmp_path / "0001.sql").write_text(broken)
    monkeypatch.setattr("migrations.views.HERE", tmp_path)
    with pytest.raises(DBAPIError, match="syntax error"):
        schema.upgrade(store.engine)
    assert describe(store) == ({}, {})
    assert version(store) is None


def test_the_models_are_the_migrated_schema(store: Store) -> None:
    schema.upgrade(store.engine)
    with store.reading() as unit:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(unit, opts=options), Base.metadata) == []


def test_constraints_indexes_and_options_of_the_models_are_the_migrated_ones(
    store: Store, new_database: NewDatabase
) -> None:
    """Autogenerate compares no CHECK, no condition of an index, and none of SQLite's table options."""
    schema.upgrade(store.engine)
    migrated, _ = describe(store)
    modelled = Store(Flask("mailsvc"), new_database())
    with modelled.writing() as unit:
        Base.metadata.create_all(unit)
    expected, _ = describe(modelled)
    modelled.close()
    assert migrated == expected


def test_every_constraint_has_the_name_that_the_convention_gives_it(store: Store) -> None:
    schema.upgrade(store.engine)
    with store.reading() as unit:
        found = catalogue.tables(unit)
    for table, facts in found.items():
        assert facts["primary key"]["name"] == f"pk_{table}"
        for name, key in facts["foreign keys"].items():
            assert name == f"fk_{table}_{'_'.join(key['constrained_columns'])}_{key['referred_table']}"
        for name, key in facts["unique"].items():
            assert name == f"uq_{table}_{'_'.join(key['column_names'])}"
        for name in facts["checks"]:
            assert re.fullmatch(rf"ck_{table}_[a-z_]+", name)
        for name, key in facts["indexes"].items():
            columns = "[a-z_]+" if _is_partial(key) else "_".join(key["column_names"])
            assert re.fullmatch(rf"(ix|uq)_{table}_{columns}", name)
    kinds = ("foreign keys", "unique", "checks", "indexes")
    assert all(any(facts[kind] for facts in found.values()) for kind in kinds)


def _is_partial(index: dict[str, dict[str, object]]) -> bool:
    """Two indexes may have the same column when one is of some rows only: that one is called after them."""
    return any(option.endswith("_where") for option in index.get("dialect_options", {}))


WITH_TEXT = [table for table, row in every_table.ROWS.items() if any(isinstance(value, str) for value in row.values())]


@on_sqlite
@pytest.mark.parametrize("table", WITH_TEXT)
def test_a_table_refuses_a_value_of_another_type(store: Store, table: str) -> None:
    schema.upgrade(store.engine)
    texts = [name for name, value in every_table.ROWS[table].items() if isinstance(value, str)]
    numbers = [name for name, value in every_table.ROWS[table].items() if isinstance(value, int)]
    wrong = {**every_table.ROWS[table], (texts or numbers[1:])[0]: b"bytes"}
    with store.writing() as unit:
        for earlier, row in every_table.ROWS.items():
            if earlier == table:
                break
            every_table.insert(unit, earlier, row)
        with pytest.raises(IntegrityError, match=r"cannot store BLOB value in (TEXT|INTEGER) column"):
            every_table.insert(unit, table, wrong)
        every_table.insert(unit, table, every_table.ROWS[table])


@on_sqlite
def test_a_database_of_a_newer_version_is_refused_and_stays_as_it_is(empty: config.Settings) -> None:
    file = empty.database_file
    assert file is not None
    startup.prepare(create_app(empty))
    _make_newer(file)
    before = file.read_bytes()
    newer = Store(Flask("mailsvc"), empty)
    for change in (schema.upgrade, lambda engine: schema.downgrade(engine, "base")):
        with pytest.raises(schema.SchemaTooNew, match=NEWER):
            change(newer.engine)
        newer.close()
        assert file.read_bytes() == before


@on_sqlite
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_no_start_on_a_database_of_a_newer_version_changes_it(empty: config.Settings, mode: str) -> None:
    """A copy that was put in place by hand is not in WAL mode."""
    file = empty.database_file
    assert file is not None
    app = create_app(empty)
    startup.prepare(app)
    app.extensions["mailsvc"].store.close()
    _make_newer(file, mode)
    before = file.read_bytes()
    with pytest.raises(startup.CannotStart, match=f"newer mailsvc.*{NEWER}"):
        startup.prepare(app)
    app.extensions["mailsvc"].store.close()
    assert file.read_bytes() == before


def _make_newer(file: Path, mode: str = "wal") -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {catalogue.VERSION_TABLE} SET version_num = '{NEWER}'")
        connection.execute("CREATE TABLE of_the_future (id INTEGER PRIMARY KEY)")
        connection.execute(f"PRAGMA journal_mode = {mode}")


def test_what_a_newer_version_stored_stays_as_it_is(store: Store) -> None:
    schema.upgrade(store.engine)
    fill(store)
    with store.writing() as unit:
        unit.execute(sa.text(f"UPDATE {catalogue.VERSION_TABLE} SET version_num = '{NEWER}'"))
    there, kept = describe(store), rows(store)
    with pytest.raises(schema.SchemaTooNew, match=NEWER):
        schema.upgrade(store.engine)
    assert (describe(store), rows(store)) == (there, kept)


WITHOUT_MODELS = """
import sys

sys.modules["mailsvc.store.models"] = None

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

alembic = Config()
alembic.set_main_option("script_location", "migrations")
with sa.create_engine("sqlite://").connect() as connection:
    alembic.attributes["connection"] = connection
    for step in (command.upgrade, command.downgrade, command.upgrade):
        step(alembic, "base" if step is command.downgrade else "head")
    print(len(sa.inspect(connection).get_table_names()))
print([name for name in sys.modules if name.startswith("mailsvc.store")])
"""


def test_migrations_run_without_the_models() -> None:
    printed = subprocess.check_output([sys.executable, "-c", WITHOUT_MODELS], cwd=config.ROOT, text=True)
    assert printed.splitlines() == [str(len(every_table.ROWS) + 1), "['mailsvc.store.models']"]


def test_the_known_revisions_are_one_line_that_alembic_sees_too() -> None:
    history = list(reversed(list(scripts().walk_revisions())))
    assert [script.revision for script in history] == schema.KNOWN
    assert [script.down_revision for script in history] == [None, *schema.KNOWN[:-1]]
    assert scripts().get_heads() == [HEAD]


def test_every_version_file_is_named_for_its_revision_and_can_be_undone() -> None:
    for script in scripts().walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")
        assert callable(script.module.upgrade)
        assert callable(script.module.downgrade)
        assert script.doc


def test_names_of_users_from_before_are_found_without_regard_to_case(store: Store) -> None:
    schema.upgrade(store.engine, "0001")
    before = {name: value for name, value in every_table.ROWS["panel_user"].items() if not name.startswith("folded")}
    with store.writing() as unit:
        every_table.insert(unit, "panel_user", {**before, "name": "Жанна", "email": "Ж@Example.COM"})
        every_table.insert(unit, "panel_user", {**before, "id": 2, "name": "bob", "email": None})
    schema.upgrade(store.engine, "0002")
    with store.reading() as unit:
        found = unit.execute(sa.text("SELECT folded_name, folded_email FROM panel_user ORDER BY id")).all()
    assert [tuple(row) for row in found] == [("жанна", "ж@example.com"), ("bob", None)]
