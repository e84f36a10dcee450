"""One running arrangement, with the milter in it, for every test of this folder that asks for it."""

from collections.abc import Iterator

import pytest

from tests.mailhost.arrangement import complaints
from tests.milter.filtered import FilteredHost, filtered_host


@pytest.fixture(scope="package")
def whole_filtered_host() -> Iterator[FilteredHost]:
    """All servers and the milter running."""
    with filtered_host() as filtered:
        yield filtered


@pytest.fixture
def filtered(whole_filtered_host: FilteredHost) -> Iterator[FilteredHost]:
    """The same. No test may leave mail behind, nor make a server complain."""
    host = whole_filtered_host.host
    before = len(complaints(host.site))
    yield whole_filtered_host
    assert complaints(host.site)[before:] == []
    assert host.queued() == []
