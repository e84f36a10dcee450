"""Clients of the portal."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from mailsvc.app import create_app
from mailsvc.services import tokens
from mailsvc.services.ports import Ports
from tests.application import act, settings_for
from tests.courier.conftest import authority, trusted
from tests.protocols.docspace.portal import SAVED, Portal, cookie, profiles

__all__ = ["authority", "trusted"]


@pytest.fixture
def anybody(client: FlaskClient) -> Portal:
    """Proves nothing."""
    return Portal(client)


@pytest.fixture
def root_key(ports: Ports) -> str:
    """An API key of the user root."""
    return tokens.add_key(ports, act(), user="root")


@pytest.fixture
def root(client: FlaskClient, root_key: str) -> Portal:
    """Has root rights, by an API key in the cookie, as the customer's page shows it."""
    return Portal(client, cookie(root_key))


@pytest.fixture
def alice(client: FlaskClient, ports: Ports) -> Portal:
    """A user without such rights."""
    return Portal(client, {"Authorization": tokens.add_key(ports, act(), user="alice")})


@pytest.fixture(scope="module")
def in_vain(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """Root on an application that all tests of a module share, because none of their calls changes anything.

    Some settings are saved, so that there is something to lose.
    """
    directory = tmp_path_factory.mktemp("shared") / "data"
    shutil.copytree(sqlite_template, directory)
    app = create_app(settings_for(directory))
    ports = app.extensions["mailsvc"]
    portal = Portal(app.test_client(), {"Authorization": tokens.add_key(ports, act(), user="root")})
    assert portal.save(SAVED).status_code == 200
    before = profiles(ports)
    yield portal
    after = profiles(ports)
    ports.store.close()
    assert after == before
