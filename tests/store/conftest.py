"""Where databases are, and databases that nothing has been done to yet."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

import config
from mailsvc.store import Store
from tests.application import settings_for
from tests.servers.postgres import Postgres
from tests.store.small_disk import small_disk

__all__ = ["empty", "new_database", "small_disk", "store"]

NewDatabase = Callable[[], config.Settings]

_numbers = itertools.count(1)


@pytest.fixture
def new_database(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NewDatabase]:
    """Makes a database without any schema on the engine under test, and gives its settings."""
    with ExitStack() as dropped:

        def make() -> config.Settings:
            name = f"new_{next(_numbers)}"
            directory = tmp_path / name
            directory.mkdir()
            if engine == "sqlite":
                return settings_for(directory)
            server: Postgres = request.getfixturevalue("postgres_server")
            server.create(name)
            dropped.callback(server.drop, name)
            return settings_for(directory, DATABASE_URL=server.url(name))

        yield make


@pytest.fixture
def empty(new_database: NewDatabase) -> config.Settings:
    """The settings of a database without any schema."""
    return new_database()


@pytest.fixture
def store(empty: config.Settings) -> Iterator[Store]:
    """The store of ``empty``."""
    opened = Store(Flask("mailsvc"), empty)
    yield opened
    opened.close()


@pytest.fixture
def file(settings: config.Settings) -> Path:
    """The SQLite file."""
    assert settings.database_file is not None
    return settings.database_file
