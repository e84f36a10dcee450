"""What is being measured at the moment, on standard error."""

import sys
import time

_BEGUN = time.monotonic()


def say(line: str) -> None:
    """One line, with the seconds since the start."""
    print(f"{time.monotonic() - _BEGUN:6.1f} s  {line}", file=sys.stderr, flush=True)
