"""The machine that the figures belong to."""

import os
import platform
import re
import sqlite3
from importlib.metadata import version
from pathlib import Path

MIB = 1024 * 1024


def facts(directory: Path) -> dict[str, object]:
    """What the figures depend on. The databases lie in ``directory``: its file system sets the price of a commit."""
    return {
        "cores": cores(),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / MIB / 1024:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _file_system(directory),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "gunicorn": version("gunicorn"),
        "SQLAlchemy": version("SQLAlchemy"),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(directory: Path) -> str:
    """The type of the file system that holds ``directory``."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    above = [(mount[1], mount[2]) for mount in mounts if directory.resolve().is_relative_to(mount[1])]
    return max(above, key=lambda mount: len(mount[0]))[1]
