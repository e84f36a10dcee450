"""The version of the schema: which one this code needs, which one a database has, and how it gets there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event

import config
from mailsvc.store.engine import turn

MIGRATIONS = config.ROOT / "migrations"

KNOWN = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
"""Every revision, oldest first. Read off the file names, because importing Alembic costs every worker 10 MiB."""

HEAD = KNOWN[-1]
"""The revision this code needs."""


MIGRATION_SECONDS = 60
"""How long to wait for another process that migrates: what it has to do grows with the database."""


class SchemaTooNew(Exception):
    """The database was written by a newer mailsvc; this one must not touch it."""


def version(connection: Connection) -> str | None:
    """The revision the database is at, or None when it has no schema yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return _revision(connection)


def is_current(connection: Connection) -> bool:
    """Whether the database is exactly what this code needs. Raises SQLAlchemy's errors when it does not answer."""
    return _revision(connection) == HEAD


def _revision(connection: Connection) -> str | None:
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def refuse_newer(found: str | None) -> None:
    """Raises SchemaTooNew if ``found`` is a revision this code does not know."""
    if found is not None and found not in KNOWN:
        raise SchemaTooNew(f"the database is at schema version {found}; this mailsvc knows none later than {HEAD}")


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to ``revision`` in one transaction. Two processes at once take turns, each for as long as the
    other may take (MIGRATION_SECONDS). Raises SchemaTooNew.
    """
    _migrate(engine, "upgrade", revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: no schema) in one transaction."""
    _migrate(engine, "downgrade", revision)


def _migrate(engine: Engine, direction: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _without_foreign_keys(engine), turn(engine, MIGRATION_SECONDS) as connection:
        refuse_newer(version(connection))
        alembic.attributes["connection"] = connection
        getattr(command, direction)(alembic, revision)


@contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[None]:
    """A batch rebuild drops and renames tables that others refer to; SQLite heeds this outside a transaction only."""
    if engine.dialect.name != "sqlite":
        yield
        return
    event.listen(engine, "connect", _let_go)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", _let_go)
        engine.dispose()


def _let_go(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
