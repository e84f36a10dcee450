"""Processor time that the workers of a server used: unlike requests per second, other programs hardly change it."""

import os
from pathlib import Path

from bench import pss

USER, SYSTEM = 11, 12
"""Places in /proc/PID/stat, counted from behind the name of the program (proc(5))."""


def seconds_of_workers(pid: int) -> float:
    """User and system time of the children of ``pid`` so far."""
    return sum(_ticks(child) for child in pss.children(pid)) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[USER]) + int(fields[SYSTEM])
