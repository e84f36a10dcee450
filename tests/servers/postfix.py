"""Postfix's look-ups in a SQLite file, made by its own code (``postmap -q``) without a running Postfix."""

import os
import subprocess
from pathlib import Path

from tests.servers import require, require_file
from tests.servers.process import run_directory

_MAIN = """
compatibility_level = 3.6
myhostname = mail.example.test
queue_directory = {directory}
data_directory = {directory}
"""


def postmap_lookup(database: Path, query: str, key: str) -> list[str]:
    """What ``query`` (one line, with ``%s``, ``%u``, ``%d`` for parts of the key) finds for ``key``, in its order.

    Nothing found is an empty list; RuntimeError with Postfix's words when it cannot tell.
    """
    program = require("postmap", "postfix postfix-sqlite")
    require_file("postfix-sqlite", "usr/lib*/postfix/postfix-sqlite.so")
    with run_directory("postfix") as directory:
        _configure(directory / "main.cf", _MAIN.format(directory=directory))
        _configure(directory / "map.cf", f"dbpath = {database}\nquery = {query}\n")
        done = subprocess.run(
            [program, "-c", str(directory), "-q", key, f"sqlite:{directory}/map.cf"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    if done.stderr or done.returncode not in (0, 1):
        raise RuntimeError(f"postmap -q {key} ended with {done.returncode}: {done.stderr}")
    return done.stdout.rstrip("\n").split(",") if done.returncode == 0 else []


def _configure(path: Path, text: str) -> None:
    path.write_text(text)
    # Postfix waits until a file is more than a second old, lest somebody is still writing it.
    os.utime(path, (0, 0))
