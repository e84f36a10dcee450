"""The worker as a program of its own: ``python -m mailsvc collect``."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import config
from tests.services.collecting import Stage

LIMIT = 60.0
"""Seconds after which whatever is waited for has failed."""


def settings_of(staged: Stage, **more: str) -> dict[str, str]:
    """The environment of a worker on the stage's database."""
    environ = {
        "MAILSVC_DATA_DIR": str(staged.ports.settings.data_dir),
        "MAILSVC_HOSTNAME": "mail.server.test",
        "MAILSVC_LOCAL_DELIVERY": f"lmtp://127.0.0.1:{staged.local.lmtp}",
        "MAILSVC_LOG_FORMAT": "text",
        "PATH": os.environ["PATH"],
    }
    if staged.ports.settings.database_url is not None:
        environ["MAILSVC_DATABASE_URL"] = staged.ports.settings.database_url
    return environ | {config.PREFIX + name: value for name, value in more.items()}


@contextmanager
def collecting(environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, killed at the end if it lives still."""
    with subprocess.Popen(
        [sys.executable, "-m", "mailsvc", "collect"],
        stdin=subprocess.DEVNULL,
        cwd=config.ROOT,
        env=dict(environ),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def once(environ: Mapping[str, str]) -> str:
    """What ``collect --once`` prints."""
    return subprocess.run(
        [sys.executable, "-m", "mailsvc", "collect", "--once"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=config.ROOT,
        env=dict(environ),
        timeout=LIMIT,
        check=True,
    ).stdout


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return as soon as ``condition`` is true."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
