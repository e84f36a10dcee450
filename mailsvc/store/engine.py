"""Connections and units of work.

What differs between SQLite and PostgreSQL about them is said here and nowhere else.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, ExceptionContext, event

import config
from mailsvc.store import checkpoint, files
from mailsvc.store.models import Base

db = SQLAlchemy(metadata=Base.metadata, disable_autonaming=True)

BUSY_SECONDS = 5
"""How long a unit waits for its turn to write before it gives up."""

WRITE_LOCK = 0x6D61696C
"""The advisory lock that makes writers take turns on PostgreSQL, as BEGIN IMMEDIATE does on SQLite."""

SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "PRAGMA foreign_keys = ON",
    # An acknowledged change must survive a power cut.
    "PRAGMA synchronous = FULL",
    # One place checkpoints: mailsvc.store.checkpoint says why.
    "PRAGMA wal_autocheckpoint = 0",
    # After a checkpoint the log begins anew and its file is cut, so that its size says when the next one is due.
    "PRAGMA journal_size_limit = 1048576",
    # Until it is a connection's turn to write.
    "PRAGMA query_only = ON",
)

POSTGRES_OPTIONS = f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s -c statement_timeout=60s -c synchronous_commit=on"


class Store:
    """The database of one application.

    ``reading()`` and ``writing()`` are the only ways in. A unit of writing is one transaction that nobody else writes
    beside: on both engines writers take turns, so that what it has read stays true until it commits. Hash, validate and
    resolve before it; think inside it as little as possible.
    """

    def __init__(self, app: Flask, settings: config.Settings) -> None:
        app.config["SQLALCHEMY_DATABASE_URI"] = url_of(settings)
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(settings)
        db.init_app(app)
        with app.app_context():
            self.engine = db.engine
        self.file = settings.database_file
        self._turn = threading.Lock()
        self._kept: list[Connection] = []
        arrange(self.engine)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for statements that each see the latest commit. Nothing it does is kept."""
        # On SQLite a connection at rest is in no transaction and cannot be lost, so it is used again as it is: giving
        # it back to the pool and asking for it anew costs as much as a statement.
        if self.file is None:
            with self.engine.connect() as connection:
                yield connection
            return
        try:
            connection = self._kept.pop()
        except IndexError:
            connection = self.engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._kept.append(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: durable when the block ends, undone when it raises."""
        with self._in_turn():
            with self.reading() as connection, _turn_of(connection):
                yield connection
            if self.file is not None:
                checkpoint.when_due(self.file)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        # Threads of one process queue here, in turn and at no cost, instead of polling for the database's own lock.
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise TimeoutError("the database was busy for too long")
        try:
            yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """Let go of every connection; the next unit opens new ones."""
        while self._kept:
            connection = self._kept.pop()
            # Its pool may be gone already; it shall not stay open there.
            connection.invalidate()
            connection.close()
        self.engine.dispose()


def url_of(settings: config.Settings) -> sa.URL:
    """Where the database is."""
    if settings.database_url is not None:
        return sa.make_url(settings.database_url)
    return sa.URL.create("sqlite", database=str(settings.database_file))


def _engine_options(settings: config.Settings) -> dict[str, Any]:
    # A connection for each thread, kept: opening one per request costs more than the request.
    options: dict[str, Any] = {
        "pool_size": settings.threads,
        "max_overflow": 4,
        "pool_timeout": BUSY_SECONDS,
        # An error text with its parameters would carry hashes and sealed keys into the log.
        "hide_parameters": True,
    }
    if settings.database_file is None:
        options |= {"pool_pre_ping": True, "connect_args": {"options": POSTGRES_OPTIONS, "connect_timeout": 5}}
    return options


def arrange(engine: Engine) -> None:
    """Set ``engine`` up so that its connections behave as Store promises."""
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database))
        event.listen(engine, "connect", lambda connection, _record: _prepare_sqlite(connection, file))
    else:
        event.listen(engine, "handle_error", _hide_row)


def _hide_row(context: ExceptionContext) -> None:
    """PostgreSQL adds the row that it refused to the text of an error, with the hashes and sealed keys in it."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None:
            error.args = tuple(str(text).split("\nDETAIL:", 1)[0] for text in error.args[:1])


def _prepare_sqlite(connection: Any, file: Path) -> None:
    # The driver's own idea of when to begin is switched off; turn() decides.
    connection.isolation_level = None
    for pragma in SQLITE_PRAGMAS:
        connection.execute(pragma)
    # SQLite makes its companions when it first reads, with the database's mode; the mail servers need another.
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    files.set_mode(files.companions(file)[1], files.SHARED_INDEX_MODE)


@contextmanager
def turn(engine: Engine) -> Iterator[Connection]:
    """A connection in the one transaction that writes, which commits when the block ends and is undone when it raises.

    A deferred BEGIN that reads and then writes loses most of its transactions under load to "database is locked",
    whatever the busy timeout. A connection that does not take its turn is in no transaction of SQLite's at all: each of
    its statements sees the latest commit.
    """
    with engine.connect() as connection, _turn_of(connection):
        yield connection


@contextmanager
def _turn_of(connection: Connection) -> Iterator[None]:
    # What SQLAlchemy began for the reading before was no transaction of SQLite's.
    connection.rollback()
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        driver.execute("PRAGMA query_only = OFF")
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield
        finally:
            driver.execute("PRAGMA query_only = ON")
    else:
        with connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            yield


@contextmanager
def _writable(connection: Connection) -> Iterator[None]:
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA query_only = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA query_only = ON")
