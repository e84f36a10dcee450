"""Certificates, an authority that the courier trusts for one test, and a real server to connect to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsvc.courier.tls import client_context
from tests.servers.certificates import Authority
from tests.servers.foreign import foreign

__all__ = ["authority", "certificates", "foreign", "trusted"]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of the tests' own."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """The authority, in the place of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    client_context.cache_clear()
    yield authority
    client_context.cache_clear()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Where a test keeps certificates of its own."""
    return tmp_path
