"""Connections and units of work.

What differs between SQLite and PostgreSQL about them is said here and nowhere else.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, ExceptionContext, event

import config
from mailsvc.store import checkpoint, files
from mailsvc.store.models import Base
from mailsvc.store.writer import Turn, Writer

db = SQLAlchemy(metadata=Base.metadata, disable_autonaming=True)

BUSY_SECONDS = 5
"""How long a unit waits for its turn to write before it gives up, unless it says otherwise."""

AGAIN_SECONDS = 0.2
"""How long to wait for the turn to say that something failed: most often because it waited for its turn in vain."""

LOOK_SECONDS = 0.0003
"""How often a unit looks whether SQLite's lock is free: a commit takes about as long."""

WRITE_LOCK = 0x6D61696C
"""The advisory lock that makes writers take turns on PostgreSQL, as BEGIN IMMEDIATE does on SQLite."""

SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "PRAGMA foreign_keys = ON",
    # An acknowledged change must survive a power cut.
    "PRAGMA synchronous = FULL",
    # One place checkpoints: mailsvc.store.checkpoint says why.
    "PRAGMA wal_autocheckpoint = 0",
    # After a checkpoint the log begins anew and its file is cut to this, so that its size says when the next one is
    # due. Not shorter: to sync what is written in place takes less than half as long as to sync a file that grows.
    f"PRAGMA journal_size_limit = {checkpoint.LOG_BYTES}",
    # All connections but those that are for writing alone.
    "PRAGMA query_only = ON",
)

# Not switched on and off around each unit: SQLite compiles every statement of a connection again after a change of
# query_only.
WRITER_PRAGMAS = ("PRAGMA query_only = OFF", "PRAGMA busy_timeout = 0")

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
        teardown = [*app.teardown_appcontext_funcs]
        db.init_app(app)
        # The extension would end its own session after every request, made or not. Here none is ever made: the store
        # uses the engine alone.
        app.teardown_appcontext_funcs[:] = teardown
        with app.app_context():
            self.engine = db.engine
        self.file = settings.database_file
        self.patience: float = BUSY_SECONDS
        self._kept: list[Connection] = []
        self._turn = Turn()
        self._writer = Writer(self._turn, self._connect_to_write, _begin, self._checkpoint)
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

    def writing(self, patience: float | None = None) -> AbstractContextManager[Connection]:
        """One transaction: durable when the block ends, undone when it raises.

        Raises TimeoutError, or SQLAlchemy's OperationalError, when it was not its turn within ``patience`` seconds
        (None: the store's own); writer.Undone when it was undone with others.
        """
        if patience is None:
            patience = self.patience
        return self._writer.unit(patience) if self.file is not None else self._writing_in_pool(patience)

    @contextmanager
    def _writing_in_pool(self, patience: float) -> Iterator[Connection]:
        expires = time.monotonic() + patience
        with (
            self._turn.within(patience),
            self.engine.connect() as connection,
            _turn_of(connection, expires - time.monotonic()),
        ):
            yield connection

    def _connect_to_write(self) -> Connection:
        return _writer(self.engine)

    def _checkpoint(self) -> None:
        if self.file is not None:
            checkpoint.when_due(self.file)

    @contextmanager
    def elsewhere(self, database: sqlite3.Connection) -> Iterator[None]:
        """Until the block ends every unit happens in ``database``, which is closed then. For one thread, on SQLite.

        What SQLAlchemy makes of statements meanwhile it knows afterwards too.
        """

        def instead(*_: object) -> sqlite3.Connection:
            return database

        def open_to_all(*_: object) -> None:
            # There is but this one, for reading and writing.
            _let_write(database)

        self.close()
        file, self.file = self.file, None
        event.listen(self.engine, "do_connect", instead)
        event.listen(self.engine, "connect", open_to_all)
        try:
            yield
        finally:
            event.remove(self.engine, "connect", open_to_all)
            event.remove(self.engine, "do_connect", instead)
            self.engine.dispose()
            self.file = file
            database.close()

    def close(self) -> None:
        """Let go of every connection; the next unit opens new ones."""
        self._writer.close()
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
    if settings.database_file is not None:
        # A free connection is in Store, where whoever waited in the pool for one would not see it.
        options["max_overflow"] = -1
    else:
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
def turn(engine: Engine, patience: float = BUSY_SECONDS) -> Iterator[Connection]:
    """A connection in the one transaction that writes, which commits when the block ends and is undone when it raises.

    Raises SQLAlchemy's OperationalError when it was not its turn within ``patience`` seconds.

    A deferred BEGIN that reads and then writes loses most of its transactions under load to "database is locked",
    whatever the busy timeout. A connection that does not take its turn is in no transaction of SQLite's at all: each of
    its statements sees the latest commit.
    """
    with _writer(engine) as connection, _turn_of(connection, patience):
        yield connection


def _writer(engine: Engine) -> Connection:
    """A new connection that may write. On SQLite it is in no pool, where whoever reads would get it."""
    connection = engine.connect()
    if engine.dialect.name == "sqlite":
        connection.detach()
        _let_write(connection.connection.dbapi_connection)
    return connection


def _let_write(driver: Any) -> None:
    for pragma in WRITER_PRAGMAS:
        driver.execute(pragma)


@contextmanager
def _turn_of(connection: Connection, seconds: float = BUSY_SECONDS) -> Iterator[None]:
    with connection.begin():
        if connection.dialect.name == "sqlite":
            _begin(connection, seconds)
        else:
            if not BUSY_SECONDS * 0.9 <= seconds <= BUSY_SECONDS:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, int(seconds * 1000))}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
        yield


def _begin(connection: Connection, seconds: float) -> None:
    """Begin on SQLite once nobody else writes; after ``seconds`` raise its error as SQLAlchemy has it."""
    driver: Any = connection.connection.dbapi_connection
    try:
        once_free(lambda: driver.execute("BEGIN IMMEDIATE"), seconds)
    except sqlite3.Error:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def once_free(attempt: Callable[[], object], seconds: float) -> None:
    """Do what needs SQLite's lock once nobody else has it; after ``seconds`` raise the driver's error.

    SQLite's own waiting sleeps longer each time, up to a tenth of a second. Of two processes that write all the time
    one then waits for seconds: whoever has just committed is back before the other looks again. And for what could be a
    deadlock, such as the change to a write-ahead log while somebody writes, it does not wait at all.
    """
    expires = time.monotonic() + seconds
    while True:
        try:
            attempt()
        except sqlite3.Error as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= expires:
                raise
            time.sleep(LOOK_SECONDS)
        else:
            return
