"""A server as a child process that leaves nothing behind: no process, no file, not even when the tests are killed."""

import grp
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_LIMIT = 60.0
"""Seconds after which a server that does not answer has failed; every one here starts within 1 s on an idle machine."""

STOP_LIMIT = 10.0
"""Seconds a server has to end by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by name, with its primary group."""

    user: str
    group: str

    @classmethod
    def own(cls) -> "Account":
        """Whoever runs the tests."""
        return cls(pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name)

    @classmethod
    def unprivileged(cls, *names: str) -> "Account":
        """The first of ``names`` that exists when root runs the tests (some servers refuse root), else whoever does."""
        if os.geteuid() != 0:
            return cls.own()
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = next(known[name] for name in names if name in known)
        return cls(entry.pw_name, grp.getgrgid(entry.pw_gid).gr_name)


@contextmanager
def run_directory(name: str, account: Account | None = None) -> Iterator[Path]:
    """A new directory that ``account`` owns and everybody may enter, removed at the end.

    pytest's own is closed to other users, and too long a path for a socket (108 bytes).
    """
    directory = Path(tempfile.mkdtemp(prefix=f"mailsvc-{name}-", dir="/tmp"))
    try:
        directory.chmod(0o755)
        if account and os.geteuid() == 0:
            shutil.chown(directory, account.user, account.group)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def running(
    arguments: Sequence[str],
    directory: Path,
    ready: Callable[[], bool],
    *,
    account: Account | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[int]:
    """A server in the foreground, from the first time that ``ready`` is true until the end of the block.

    Gives its process number, which is also that of its process group. Its output goes to ``log`` in ``directory``.
    ``stop`` is the signal that ends it and its children at once.
    """
    child = _start(arguments, directory, account, stop)
    try:
        _wait_for(child, ready, directory)
        yield child.pid
    finally:
        _end(child, stop)


def run(arguments: Sequence[str], directory: Path, account: Account | None = None) -> None:
    """Run a program to its end; RuntimeError with its output when it fails."""
    child = _start(arguments, directory, account, signal.SIGKILL)
    if child.wait() != 0:
        raise _failure(child, directory)


def _start(
    arguments: Sequence[str], directory: Path, account: Account | None, stop: signal.Signals
) -> subprocess.Popen[bytes]:
    drop = account if account and os.geteuid() == 0 else None
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with (directory / "log").open("ab") as log:
        # A session of its own keeps the terminal's Ctrl-C away: the server is still there while tests clean up.
        return subprocess.Popen(
            [*_ends_with_parent(stop), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=environment,
            start_new_session=True,
            user=drop.user if drop else None,
            group=drop.group if drop else None,
            extra_groups=[] if drop else None,
        )


def _ends_with_parent(stop: signal.Signals) -> list[str]:
    """What makes Linux send ``stop`` to the server when the thread that started it is gone, even by SIGKILL."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop.name.removeprefix("SIG"), "--"] if setpriv else []


def _wait_for(child: subprocess.Popen[bytes], ready: Callable[[], bool], directory: Path) -> None:
    expires = time.monotonic() + START_LIMIT
    while not ready():
        if child.poll() is not None or time.monotonic() > expires:
            raise _failure(child, directory)
        time.sleep(0.01)
    # Or it was somebody else who answered, on a port that this one found taken.
    if child.poll() is not None:
        raise _failure(child, directory)


def _failure(child: subprocess.Popen[bytes], directory: Path) -> RuntimeError:
    outcome = "does not answer" if child.returncode is None else f"ended with {child.returncode}"
    logs = "".join(path.read_text(errors="replace") for path in sorted(directory.glob("*log")))
    return RuntimeError(f"{child.args!r} {outcome}\n{logs[-4000:]}")


def _end(child: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    if child.poll() is None:
        child.send_signal(stop)
    try:
        child.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    _kill_group(child.pid)


def _kill_group(leader: int) -> None:
    """Whatever the server did not end itself. The wait is short, since what is dead counts until somebody reaps it."""
    expires = time.monotonic() + 0.2
    while time.monotonic() < expires:
        try:
            os.killpg(leader, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)
