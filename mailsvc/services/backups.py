"""Copies of the SQLite database, made and put back while mailsvc and the mail servers go on working.

Both directions use SQLite's online backup: a copy is of one moment, and a copy put back becomes visible to every
reader in one commit, in the same file, so that nobody has to reopen anything.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed
from mailsvc.services import publication
from mailsvc.services.ports import Ports
from mailsvc.store import files, schema
from mailsvc.store.engine import arrange, turn
from mailsvc.store.models import Base

log = logging.getLogger("mailsvc.backups")

HEADER = b"SQLite format 3\0"
SQLITE_OK = 0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NOT_OURS = "that is not a database of mailsvc"

WRITE_SECONDS = 60
"""How long a restore waits for its turn to write."""


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

    The copy is checked first: integrity, and a schema that this mailsvc knows; an older one is brought up to date. DNS
    records that it does not know are withdrawn, and its own are taken to be unsettled, for ``settle`` to make DNS equal
    to them. Raises CannotCopy.
    """
    database = _database(ports)
    _refuse_itself(copy, database)
    if not copy.is_file() or not _is_sqlite(copy):
        raise CannotCopy(f"{copy} is not a copy of a database")
    with _draft(database.parent) as draft:
        _copy(copy, draft)
        _verify(draft)
        known = _brought_up_to_date(draft, copy)
        kept = database.with_name(f"{database.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        _put_in_place(draft, database, kept)
    for record in _live_records(kept) - known:
        _withdraw(ports, record)
    return kept


def settle(ports: Ports) -> Sequence[publication.Settled]:
    """After a restore: make DNS equal to what the restored database says."""
    return publication.reconcile(ports, at_start=True)


def _database(ports: Ports) -> Path:
    file = ports.settings.database_file
    if file is None:
        raise CannotCopy("the database is on PostgreSQL: use pg_dump and pg_restore")
    return file


def _refuse_itself(file: Path, database: Path) -> None:
    # Even opening the live file beside SQLite would let go of its locks (https://sqlite.org/howtocorrupt.html, 2.2).
    if file.exists() and any(live.exists() and file.samefile(live) for live in (database, *files.companions(database))):
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
    except SQLAlchemyError as error:
        raise CannotCopy(f"the copy failed: {getattr(error, 'orig', error)}") from None
    except OSError as error:
        raise CannotCopy(f"the copy failed: {error.strerror}") from None
    except UnicodeDecodeError:
        # Damage within names, as SQLite hands them on.
        raise CannotCopy("the copy is damaged: a name in it is not UTF-8") from None
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
        raise CannotCopy(f"the copy is damaged: {' '.join(str(verdict).split())}")
    if orphans is not None:
        raise CannotCopy(f"the copy is damaged: a row of {orphans[0]} refers to a row that is not there")
    if "alembic_version" not in tables:
        raise CannotCopy(NOT_OURS)


def _brought_up_to_date(draft: Path, copy: Path) -> set[TxtRecord]:
    """The records that the draft, which is at this mailsvc's schema afterwards, takes to be in DNS."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(draft)), poolclass=sa.NullPool)
    arrange(engine)
    try:
        with engine.connect() as unit:
            if schema.version(unit) is None:
                raise CannotCopy(NOT_OURS)
        schema.upgrade(engine)
        with turn(engine) as unit:
            _refuse_foreign(unit)
            unit.exec_driver_sql("UPDATE dns_record SET settled = 0, busy_until = NULL")
    except schema.SchemaTooNew as error:
        raise CannotCopy(f"{copy} belongs to a newer mailsvc: {error}") from None
    finally:
        engine.dispose()
    return _live_records(draft)


def _refuse_foreign(unit: sa.Connection) -> None:
    """Anything may use Alembic, and call a revision or a table as we do."""
    inspector = sa.inspect(unit)
    for table in Base.metadata.sorted_tables:
        if not inspector.has_table(table.name):
            raise CannotCopy(NOT_OURS)
        if {column["name"] for column in inspector.get_columns(table.name)} != set(table.columns.keys()):
            raise CannotCopy(NOT_OURS)


def _live_records(file: Path) -> set[TxtRecord]:
    """The records that the database ``file`` takes to be, or perhaps to be, in DNS; none if it cannot be read."""
    query = (
        "SELECT d.name, r.name, r.content, r.ttl FROM dns_record r JOIN domain d ON d.id = r.domain_id"
        " WHERE r.enabled = 1 OR r.settled = 0"
    )
    try:
        with closing(sqlite3.connect(file)) as connection:
            return {TxtRecord.from_content(*row) for row in connection.execute(query)}
    except sqlite3.Error:
        return set()


def _withdraw(ports: Ports, record: TxtRecord) -> None:
    try:
        ports.dns.withdraw(record)
    except PublishFailed as refusal:
        log.error("withdraw by hand, the restored database does not know of it: %s (%s)", record.zone_line, refusal)


def _put_in_place(draft: Path, database: Path, kept: Path) -> None:
    """Make ``draft`` the content of ``database`` in one commit, and ``kept`` a copy of what it replaces."""
    deadline = time.monotonic() + WRITE_SECONDS

    def keep(status: int, _remaining: int, _total: int) -> None:
        # From the first page on this is the only writer, and everybody still sees what was there before.
        if status == SQLITE_OK and not kept.exists():
            _copy(database, kept)
        if not kept.exists() and time.monotonic() > deadline:
            raise CannotCopy("somebody keeps writing to the database: nothing was replaced")

    try:
        with closing(sqlite3.connect(draft)) as there, closing(sqlite3.connect(database, timeout=1)) as here:
            there.backup(here, pages=1, progress=keep, sleep=0.05)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF not in DAMAGED:
            # A full disk, most often: the database is what it was, and what was to be kept of it is not needed.
            for path in (kept, *files.companions(kept)):
                path.unlink(missing_ok=True)
            raise
        if not kept.exists():
            # Too damaged for SQLite to read: the bytes as they are may still help somebody.
            shutil.copyfile(database, kept)
        raise CannotCopy(
            f"{database} is too damaged to be written ({error}): stop mailsvc, move it away with its -wal and -shm, "
            "start mailsvc once, and restore again"
        ) from None
    finally:
        if kept.exists():
            kept.chmod(0o600)
            files.give_to_owner(kept, database)
    _make_single_file(kept)


def _put(draft: Path, target: Path) -> None:
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    # A log that lies beside the target belongs to what was there before.
    for path in files.companions(target):
        path.unlink(missing_ok=True)
    draft.replace(target)
    handle = os.open(target.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
