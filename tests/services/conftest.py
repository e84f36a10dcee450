"""Fixtures that the tests of the store have too, and servers to collect from and into."""

from collections.abc import Iterator

import pytest

import config
from mailsvc.app import create_app
from mailsvc.services.ports import Ports
from tests.servers.dovecot_mail import DovecotMail
from tests.servers.foreign import foreign, local
from tests.services.collecting import Stage, stage
from tests.store.small_disk import small_disk

__all__ = ["foreign", "local", "small_disk", "staged"]


@pytest.fixture
def staged(ports: Ports, foreign: DovecotMail, local: DovecotMail) -> Iterator[Stage]:
    """mailsvc between the two servers."""
    with stage(ports, foreign, local) as ready:
        yield ready


@pytest.fixture
def other_process(settings: config.Settings) -> Iterator[Ports]:
    """The same database with another memory."""
    other: Ports = create_app(settings).extensions["mailsvc"]
    yield other
    other.store.close()
