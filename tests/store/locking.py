"""A database that somebody else is writing, and stores that do not wait long for it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

import config
from mailsvc.store import Store
from mailsvc.store.engine import WRITE_LOCK


@contextmanager
def locked(settings: config.Settings) -> Iterator[None]:
    """Somebody else writes, for longer than anybody waits."""
    if settings.database_file is None:
        assert settings.database_url is not None
        engine = sa.create_engine(settings.database_url)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
            yield
        engine.dispose()
        return
    with closing(sqlite3.connect(settings.database_file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def impatient(store: Store) -> None:
    """Wait for a turn no longer than a test can."""
    store.patience = 0.05


def on_connect(store: Store, setup: Callable[[Any], object]) -> None:
    """Have every new connection of ``store`` set up further, after all that the product does."""

    def listener(connection: Any, _record: object) -> None:
        setup(connection)
        connection.commit()

    store.close()
    event.listen(store.engine, "connect", listener)
