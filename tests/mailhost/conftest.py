"""One running arrangement for every test of this folder."""

from collections.abc import Iterator

import pytest

from tests.mailhost.arrangement import complaints, running_host
from tests.mailhost.host import Host


@pytest.fixture(scope="package")
def whole_host() -> Iterator[Host]:
    """All servers running, from the rendered configuration, after the first calls of the page."""
    with running_host() as host:
        yield host


@pytest.fixture
def host(whole_host: Host) -> Iterator[Host]:
    """The same. No test may leave mail behind, nor make a server complain."""
    before = len(complaints(whole_host.site))
    yield whole_host
    assert complaints(whole_host.site)[before:] == []
    assert whole_host.queued() == []
