"""Services for the tests of this folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.running import Service, serving


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data directory of this test's own, in the state that the golden examples start from."""
    return shutil.copytree(sqlite_template, tmp_path / "data")


@pytest.fixture
def service(data_dir: Path) -> Iterator[Service]:
    """A service of this test's own."""
    with serving(data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def shared(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of a module that leave it as it was: nothing added, nobody blocked."""
    with serving(shutil.copytree(sqlite_template, tmp_path_factory.mktemp("shared") / "data")) as running:
        yield running
