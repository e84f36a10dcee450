"""The last line before pytest's own: which packages would have enabled the tests that were skipped."""

from collections.abc import Generator

import pytest

from tests.servers import missing


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """A hook of pytest, around its own so as to come after its list of skips. Silent when nothing was wanting."""
    yield
    if missing:
        terminalreporter.write_line(f"skipped for want of servers: apt install {' '.join(sorted(missing))}")
