"""Programs that call as one user or another."""

import pytest
from flask.testing import FlaskClient

from tests.application import ALICE_SECRET
from tests.protocols.dbvisit.calling import Program, basic


@pytest.fixture
def root(client: FlaskClient) -> Program:
    """Has root rights."""
    return Program(client)


@pytest.fixture
def alice(client: FlaskClient) -> Program:
    """Has none."""
    return Program(client, basic("alice", ALICE_SECRET))


@pytest.fixture
def anonymous(client: FlaskClient) -> Program:
    """Brings no credentials."""
    return Program(client, {})
