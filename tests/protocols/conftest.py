"""What the tests of more than one dialect need."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

import config
from mailsvc.app import create_app


@pytest.fixture
def other_process(settings: config.Settings, app: Flask) -> Iterator[FlaskClient]:
    """A client of a second application on the same database, which shares nothing else with the first."""
    other = create_app(settings)
    yield other.test_client()
    other.extensions["mailsvc"].store.close()
