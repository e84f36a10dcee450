"""Real mail, DNS and database servers for the tests: each runs privately, as a child of the test process.

A test that needs a program asks ``require`` for it. Where the program is absent the test is skipped by name, and the
closing line of the run names the package. With ``MAILSVC_REQUIRE_SERVERS=1`` the skip is a failure.
"""

import fcntl
import os
import random
import re
import shutil
import socket
import tempfile
from collections import deque
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

missing: set[str] = set()
"""Debian packages that would have enabled the tests skipped so far."""

RESERVED = 500
"""How many of the ports given last are given to nobody else: more than a test has under way, few enough that several
runs of the tests find their own."""

_given: deque[int] = deque()


def require(program: str, package: str) -> str:
    """The path of ``program``; skips (or fails) the test that asks when it is not installed.

    ``package`` is Debian's name of what would enable the test; several, divided by blanks, when one is not enough.
    """
    path = shutil.which(program, path=os.pathsep.join(_directories()))
    return path or _give_up(program, package)


def require_file(package: str, *patterns: str) -> Path:
    """The first file below ``/`` that a glob of ``patterns`` matches, for plug-ins packaged apart from servers."""
    found = next((path for pattern in patterns for path in sorted(Path("/").glob(pattern))), None)
    return found or _give_up(Path(patterns[0]).name, package)


def free_port() -> int:
    """A loopback port that neither TCP nor UDP uses, below the range that outgoing connections take theirs from.

    A server takes its port seconds after it was found free. Until then nobody else is given it, neither here nor in
    another run of the tests on this machine.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        free = port not in _given and all(_is_free(port, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
        if free and _reserve(port):
            return port


def _directories() -> list[str]:
    """Where programs are looked for: PATH, the system directories that a plain user's PATH lacks, newest PostgreSQL."""
    postgresql = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    return [*os.get_exec_path(), "/usr/local/sbin", "/usr/sbin", "/sbin", *map(str, postgresql)]


def _version(directory: Path) -> int:
    digits = re.match(r"[0-9]+", directory.parent.name)
    return int(digits[0]) if digits else 0


def _give_up(what: str, package: str) -> NoReturn:
    reason = f"{what} is not installed (apt install {package})"
    if os.environ.get("MAILSVC_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    missing.update(package.split())
    pytest.skip(reason)


def _reserve(port: int) -> bool:
    """Whether no other process has it reserved. A reservation is a lock on one byte, which ends with its process."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    _given.append(port)
    if len(_given) > RESERVED:
        fcntl.lockf(_reservations(), fcntl.LOCK_UN, 1, _given.popleft())
    return True


@cache
def _reservations() -> int:
    # For each user: in a shared directory nobody may write another one's file.
    path = Path(tempfile.gettempdir()) / f"mailsvc-ports-{os.geteuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
