"""What an examination says: a line for each thing that was looked at."""

from typing import NamedTuple

OK = "ok"
FAILED = "failed"
WARNING = "warning"
ABSENT = "not here"
"""Not installed, or not used by this installation."""


class Finding(NamedTuple):
    """``check`` names what was looked at, ``text`` is what was found; ``mend`` is the command that mends a failure."""

    check: str
    verdict: str
    text: str
    mend: str = ""


def ok(check: str, text: str) -> Finding:
    """It is as it must be."""
    return Finding(check, OK, text)


def failed(check: str, cause: str, mend: str) -> Finding:
    """It is not, for this cause; the command mends it."""
    return Finding(check, FAILED, cause, mend)


def warning(check: str, text: str, mend: str = "") -> Finding:
    """Mail goes on, but somebody should know."""
    return Finding(check, WARNING, text, mend)


def absent(check: str, text: str) -> Finding:
    """There is no such thing here, and that is no fault."""
    return Finding(check, ABSENT, text)
