"""Panels that call as one user or another."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mailsvc.app import create_app
from tests.application import BOB_SECRET, ROOT_SECRET, settings_for
from tests.protocols.brainycp.panel import Panel
from tests.protocols.brainycp.stored import everything


@pytest.fixture
def alice(client: FlaskClient) -> Panel:
    """Owns example.com with old@example.com."""
    return Panel(client)


@pytest.fixture
def bob(client: FlaskClient) -> Panel:
    """Owns bob.test."""
    return Panel(client, "bob", BOB_SECRET)


@pytest.fixture
def root(client: FlaskClient) -> Panel:
    """Has root rights."""
    return Panel(client, "root", ROOT_SECRET)


@pytest.fixture(scope="module")
def in_vain(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    """Alice on an application that all tests of a module share, because none of their calls changes anything."""
    directory = tmp_path_factory.mktemp("shared") / "data"
    shutil.copytree(sqlite_template, directory)
    app = create_app(settings_for(directory))
    ports = app.extensions["mailsvc"]
    before = everything(ports)
    yield Panel(app.test_client())
    after = everything(ports)
    ports.store.close()
    assert after == before
