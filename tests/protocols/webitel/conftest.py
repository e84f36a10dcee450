"""The state that the contract's golden examples start from, and who calls in it."""

import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import config
from mailsvc.app import create_app
from mailsvc.core.acts import USER
from mailsvc.services import domains, users
from mailsvc.services.ports import Ports
from tests.application import ROOT_SECRET, act, settings_for
from tests.protocols.webitel.smtp_servers import CarefulServer, careful, self_signed
from tests.protocols.webitel.web_client import WebClient, signed_in

CAROL_SECRET = "Panel-3"


def furnish(ports: Ports) -> None:
    """Alice owns d1.example alone, carol c1.example and c2.example; bob.test is bob's."""
    domains.remove(ports, act(), name="example.com")
    domains.add(ports, act(), name="d1.example", owner="alice")
    users.add(ports, act(), name="carol", password=CAROL_SECRET, role=USER)
    for name in ("c1.example", "c2.example"):
        domains.add(ports, act(), name=name, owner="carol")


@pytest.fixture
def app(settings: config.Settings) -> Iterator[Flask]:
    """The application in the golden state."""
    application = create_app(settings)
    furnish(application.extensions["mailsvc"])
    yield application
    application.extensions["mailsvc"].store.close()


@pytest.fixture
def alice(client: FlaskClient) -> WebClient:
    """Owns d1.example."""
    return signed_in(client)


@pytest.fixture
def carol(client: FlaskClient) -> WebClient:
    """Owns c1.example and c2.example."""
    return signed_in(client, "carol", CAROL_SECRET)


@pytest.fixture
def root(client: FlaskClient) -> WebClient:
    """Has root rights."""
    return signed_in(client, "root", ROOT_SECRET)


@pytest.fixture(scope="module")
def shared(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application in the golden state that the tests of a module share."""
    directory = tmp_path_factory.mktemp("shared") / "data"
    shutil.copytree(sqlite_template, directory)
    application = create_app(settings_for(directory))
    furnish(application.extensions["mailsvc"])
    yield application
    application.extensions["mailsvc"].store.close()


@pytest.fixture(scope="module")
def shared_alice(shared: Flask) -> WebClient:
    """Alice on the shared application."""
    return signed_in(shared.test_client())


@pytest.fixture(scope="module")
def shared_root(shared: Flask) -> WebClient:
    """Root on the shared application."""
    return signed_in(shared.test_client(), "root", ROOT_SECRET)


@pytest.fixture(scope="session")
def unvouched(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """TLS of a server whose certificate nobody vouches for."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def smtp() -> Iterator[CarefulServer]:
    """An SMTP server that behaves, without TLS."""
    with careful() as server:
        yield server


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is taken, though nobody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
