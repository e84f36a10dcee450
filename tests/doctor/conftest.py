"""All servers, the milter and mailsvc running, for examinations of them."""

from collections.abc import Iterator

import pytest

from tests.doctor.examined import Examined
from tests.milter.filtered import filtered_host


@pytest.fixture(scope="package")
def whole() -> Iterator[Examined]:
    """A host on which everything is in use: mailboxes, one with a quota, a forward, a catch-all, SPF and DKIM."""
    with filtered_host() as filtered:
        host = filtered.host
        host.add("roomy@example.org")
        host.add("small@example.org", quota=5)
        host.forward("sales@example.org", "roomy@example.org")
        host.site.run(
            "mailsvc domain catch-all example.org roomy@example.org",
            "mailsvc spf on example.org",
            "mailsvc dkim on example.org",
            "mailsvc dkim add example.org --algorithm ed25519",
        )
        yield Examined(filtered)


@pytest.fixture
def examined(whole: Examined) -> Examined:
    """The same, which must be in order before every test, so that what a test finds is its own doing."""
    assert whole.failures() == []
    return whole
