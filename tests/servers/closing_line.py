"""The last line before pytest's own: which packages would have enabled the tests that were skipped."""

import pytest

from tests.servers import missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A hook of pytest. Nothing is said when no server was wanting."""
    if missing:
        terminalreporter.write_line(f"skipped for want of servers: apt install {' '.join(sorted(missing))}")
