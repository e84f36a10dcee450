"""The application under test, on either engine, in the state that the golden examples of the contracts start from.

The database of each test is a copy of one that was built by the migrations.
"""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import config
from mailsvc import startup
from mailsvc.app import create_app
from mailsvc.core.acts import USER, Act
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import domains, mailboxes, users
from mailsvc.services.ports import Ports
from tests.servers.postgres import Postgres, postgres

ROOT_SECRET = "Root-1"
ALICE_SECRET = "Panel-1"
BOB_SECRET = "Panel-2"

_numbers = itertools.count(1)


def act(operation: str = "test") -> Act:
    """An Act of the service itself, whose scope is everything."""
    return Act("test", operation, "test", startup.THE_SERVICE)


def fill(app: Flask) -> None:
    """Users root, alice (owns example.com with old@example.com) and bob (owns bob.test)."""
    startup.prepare(app)
    ports: Ports = app.extensions["mailsvc"]
    for name, password in (("alice", ALICE_SECRET), ("bob", BOB_SECRET)):
        users.add(ports, act(), name=name, password=password, role=USER)
    domains.add(ports, act(), name="example.com", owner="alice")
    domains.add(ports, act(), name="bob.test", owner="bob")
    mailboxes.add(ports, act(), address=mailbox_address("old@example.com"), password="Box-0", quota_mib=0)
    ports.store.close()


def settings_for(directory: Path, **more: str) -> config.Settings:
    """Settings with ``directory`` for a data directory and ``more`` (names without the prefix)."""
    environ = {"DATA_DIR": str(directory), "ROOT_PASSWORD": ROOT_SECRET, "HOSTNAME": "mail.server.test"} | more
    return config.load({f"MAILSVC_{name}": value for name, value in environ.items()})


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the database in the state of ``fill`` and its key file."""
    directory = tmp_path_factory.mktemp("template")
    fill(create_app(settings_for(directory)))
    return directory


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """PostgreSQL for the whole session; without one its tests are skipped."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a PostgreSQL database in the state of ``fill``."""
    postgres_server.create("template")
    directory = tmp_path_factory.mktemp("template-postgres")
    fill(create_app(settings_for(directory, DATABASE_URL=postgres_server.url("template"))))
    return "template"


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under test. ``@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)`` narrows it to one."""
    name: str = request.param
    return name


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Settings beside the usual ones (names without the prefix), for a test module to override."""
    return {}


@pytest.fixture
def settings(
    engine: str, tmp_path: Path, more_settings: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[config.Settings]:
    """Settings of a database of this test's own, in the state of ``fill``."""
    directory = tmp_path / "data"
    if engine == "sqlite":
        shutil.copytree(request.getfixturevalue("sqlite_template"), directory)
        yield settings_for(directory, **more_settings)
        return
    directory.mkdir()
    server: Postgres = request.getfixturevalue("postgres_server")
    name = f"test_{next(_numbers)}"
    server.create(name, template=request.getfixturevalue("postgres_template"))
    shutil.copy(request.getfixturevalue("sqlite_template") / "secret.keys", directory)
    try:
        yield settings_for(directory, DATABASE_URL=server.url(name), **more_settings)
    finally:
        server.drop(name)


@pytest.fixture
def app(settings: config.Settings) -> Iterator[Flask]:
    """The application; its connections are closed afterwards."""
    application = create_app(settings)
    yield application
    application.extensions["mailsvc"].store.close()


@pytest.fixture
def ports(app: Flask) -> Ports:
    """What the use-cases are called with."""
    bundle: Ports = app.extensions["mailsvc"]
    return bundle


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """An HTTP client of the application, in process."""
    return app.test_client()
