"""Servers under measurement: started in a process group of their own, waited for, and ended whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

HOST = "127.0.0.1"

START_SECONDS = 30.0
STOP_SECONDS = 5.0

_OURS = ("MAILSVC_", "GUNICORN_", "PROMETHEUS_", "PYTHON", "MALLOC_", "WEB_CONCURRENCY", "FLASK_")
"""Variables that would change what is measured."""


class CannotMeasure(Exception):
    """One clear line that says why there is no figure."""


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def plain_environment() -> dict[str, str]:
    """The environment of this process without anything that tunes Python, gunicorn or mailsvc."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a running process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@contextmanager
def running(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``python ARGUMENTS`` in the checkout, its output in ``log``; it and all its children are gone afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_answer(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return at the first HTTP 200 of GET ``path``. Raises CannotMeasure when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotMeasure(f"a server did not start: {_last_line(log)}")
        time.sleep(0.005)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection(HOST, port, timeout=START_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
