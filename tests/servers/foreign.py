"""Two Dovecots that live as long as the session of tests: a foreign server, and the local one."""

from collections.abc import Iterator

import pytest

from tests.servers.dovecot_mail import DovecotMail, dovecot_mail


@pytest.fixture(scope="session")
def foreign() -> Iterator[DovecotMail]:
    """A foreign server. Let each test have users of its own there."""
    with dovecot_mail() as server:
        yield server


@pytest.fixture(scope="session")
def local() -> Iterator[DovecotMail]:
    """The server that collected mail is handed in at."""
    with dovecot_mail() as server:
        yield server
