"""Copies of the SQLite database, made and put back while mailsvc and the mail servers go on working.

Both directions use SQLite's online backup: a copy is of one moment, and a copy put back becomes visible to every
reader in one commit, in the same file, so that nobody has to reopen anything.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from mailsvc.services import publication
from mailsvc.services.ports import Ports
from mailsvc.store import files, schema
from mailsvc.store.engine import arrange, take_turn

HEADER = b"SQLite format 3\0"


class CannotCopy(Exception):
    """One clear line about why nothing was copied; what was there before is there still."""


def back_up(ports: Ports, target: Path) -> None:
    """Write a verified copy of the database, of one moment, to ``target`` (0600), which changes in one step.

    The key file is not part of it. Raises CannotCopy.
    """
    source = _database(ports)
    _refuse_itself(target, source)
    if target.exists() and not _is_sqlite(target):
        raise CannotCopy(f"{target} exists and is not a copy of a database: nothing was overwritten")
    with _draft(target.absolute().parent) as draft:
        _copy(source, draft)
        _make_single_file(draft)
        _verify(draft)
        _put(draft, target)


def restore(ports: Ports, copy: Path) -> Path:
    """Put ``copy`` in the place of the present database; gives the path of a copy of what was replaced.

    The copy is checked first: integrity, and a schema that this mailsvc knows; an older one is brought up to date.
    Its DNS records are taken to be unsettled, for ``reconcile`` to make DNS equal to them. Raises CannotCopy.
    """
    database = _database(ports)
    _refuse_itself(copy, database)
    if not copy.is_file() or not _is_sqlite(copy):
        raise CannotCopy(f"{copy} is not a copy of a database")
    with _draft(database.parent) as draft:
        _copy(copy, draft)
        _verify(draft)
        _bring_up_to_date(draft, copy)
        _verify(draft)
        replaced = _keep_present(database)
        _put_in_place(draft, database)
    return replaced


def _database(ports: Ports) -> Path:
    file = ports.settings.database_file
    if file is None:
        raise CannotCopy("the database is on PostgreSQL: use pg_dump and pg_restore")
    return file


def _refuse_itself(file: Path, database: Path) -> None:
    # Even opening the live file beside SQLite would let go of its locks (https://sqlite.org/howtocorrupt.html, 2.2).
    if file.resolve() in (database.resolve(), *files.companions(database.resolve())):
        raise CannotCopy(f"{file} is the database itself, not a copy of it")


@contextmanager
def _draft(directory: Path) -> Iterator[Path]:
    """A new file in ``directory`` that nobody else can read, gone afterwards unless it was moved away."""
    try:
        handle, name = tempfile.mkstemp(prefix=".mailsvc-", suffix=".draft", dir=directory)
    except OSError as error:
        raise CannotCopy(f"cannot write in {directory}: {error.strerror}") from None
    os.close(handle)
    try:
        yield Path(name)
    except sqlite3.Error as error:
        raise CannotCopy(f"the copy failed: {error}") from None
    except OSError as error:
        raise CannotCopy(f"the copy failed: {error.strerror}") from None
    finally:
        for path in (Path(name), *files.companions(Path(name))):
            path.unlink(missing_ok=True)


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError as error:
        raise CannotCopy(f"cannot read {path}: {error.strerror}") from None


def _copy(source: Path, target: Path) -> None:
    read_only = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(read_only, uri=True)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


def _make_single_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _verify(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        orphans = connection.execute("PRAGMA foreign_key_check").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if verdict != "ok":
        raise CannotCopy(f"the copy is damaged: {verdict}")
    if orphans is not None:
        raise CannotCopy(f"the copy is damaged: a row of {orphans[0]} refers to a row that is not there")
    if not {"alembic_version", "panel_user"} <= tables:
        raise CannotCopy("that is not a database of mailsvc")


def _bring_up_to_date(draft: Path, copy: Path) -> None:
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(draft)), poolclass=sa.NullPool)
    arrange(engine)
    try:
        schema.upgrade(engine)
        with engine.begin() as unit:
            take_turn(unit)
            unit.exec_driver_sql("UPDATE dns_record SET settled = 0, busy_until = NULL")
    except schema.SchemaTooNew as error:
        raise CannotCopy(f"{copy} belongs to a newer mailsvc: {error}") from None
    finally:
        engine.dispose()


def _keep_present(database: Path) -> Path:
    kept = database.with_name(f"{database.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    try:
        _copy(database, kept)
        _make_single_file(kept)
    except sqlite3.Error:
        # Too damaged for SQLite to read: the bytes as they are may still help somebody.
        shutil.copyfile(database, kept)
    kept.chmod(0o600)
    return kept


def _put_in_place(draft: Path, database: Path) -> None:
    try:
        with closing(sqlite3.connect(draft)) as there, closing(sqlite3.connect(database, timeout=30)) as here:
            there.backup(here)
    except sqlite3.DatabaseError as error:
        raise CannotCopy(
            f"{database} is too damaged to be written ({error}): stop mailsvc, move it away with its -wal and -shm, "
            "start mailsvc once, and restore again"
        ) from None


def _put(draft: Path, target: Path) -> None:
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    draft.replace(target)
    handle = os.open(target.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(ports: Ports) -> list[publication.Settled]:
    """After a restore: make DNS equal to what the restored database says."""
    return list(publication.reconcile(ports, at_start=True))
