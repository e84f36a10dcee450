"""Command lines on databases in the state that the golden examples start from."""

from pathlib import Path

import pytest

import config
from tests.cli.command_line import CommandLine
from tests.service.running import HOSTNAME


@pytest.fixture
def cli(settings: config.Settings) -> CommandLine:
    """On a database of this test's own, on the engine under test."""
    environ = {"MAILSVC_DATA_DIR": str(settings.data_dir), "MAILSVC_HOSTNAME": HOSTNAME}
    return CommandLine(environ | ({"MAILSVC_DATABASE_URL": settings.database_url} if settings.database_url else {}))


@pytest.fixture
def nowhere(tmp_path: Path) -> CommandLine:
    """On a data directory that ``serve`` has not made yet."""
    return CommandLine({"MAILSVC_DATA_DIR": str(tmp_path / "absent")})
