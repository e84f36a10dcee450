"""Callers, and the servers their accounts are on."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from mailsvc.services import tokens
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.onlyoffice_mail.office import Foreign, Office, submission
from tests.servers.dovecot_mail import DovecotMail
from tests.servers.foreign import foreign

__all__ = ["foreign"]


@pytest.fixture
def key(ports: Ports) -> str:
    """An API key of alice's."""
    return tokens.add_key(ports, act(), user="alice")


@pytest.fixture
def alice(client: FlaskClient, key: str) -> Office:
    """Calls with an API key, as on the customer's page."""
    return Office(client, {"Authorization": key})


@pytest.fixture
def bob(client: FlaskClient, ports: Ports) -> Office:
    """Another user."""
    return Office(client, {"Authorization": tokens.add_key(ports, act(), user="bob")})


@pytest.fixture
def root(client: FlaskClient, ports: Ports) -> Office:
    """The user root."""
    return Office(client, {"Authorization": tokens.add_key(ports, act(), user="root")})


@pytest.fixture
def servers(foreign: DovecotMail) -> Iterator[Foreign]:
    """Where accounts are."""
    with submission("AUTH PLAIN LOGIN") as (port, heard):
        yield Foreign(foreign, port, heard)
