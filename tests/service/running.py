"""The service as it is run: ``python -m mailsvc serve`` in a process group of its own, which never outlives its test.

A service gets nothing of the environment of the tests but PATH, so that only the settings a test names are in force.
"""

import http.client
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import config
from tests.servers import free_port

LIMIT = 60.0
"""Seconds after which whatever is waited for has failed. Everything here takes about a second on an idle machine."""

WORKERS = 2
"""gunicorn's processes, unless a setting says otherwise."""

HOSTNAME = "mail.server.test"

DEFAULTS: Mapping[str, str] = {}
"""No setting but the data directory, the address and the host name."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. ``printed`` is the file of its standard output, ``log`` that of its standard error."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    bind: str
    environ: Mapping[str, str]
    printed: Path
    log: Path

    @property
    def pid(self) -> int:
        """The process that was started, which becomes gunicorn's master."""
        return self.process.pid

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.bind.rpartition(":")[2])

    @property
    def url(self) -> str:
        """Where it is called, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.data_dir / "mailsvc.sqlite3"

    def connection(self) -> http.client.HTTPConnection:
        """A new connection to it, by TCP or by its socket in the file system."""
        if self.bind.startswith("unix:"):
            return _UnixConnection(self.bind.removeprefix("unix:"))
        host, _, port = self.bind.rpartition(":")
        return http.client.HTTPConnection(_local(host), int(port), timeout=LIMIT)

    def answers(self) -> bool:
        """Whether it takes a request and answers that it is up."""
        connection = self.connection()
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether it listens (it says so first) and answers: somebody else may have been quicker to take the port."""
        return self.printed.stat().st_size > 0 and self.answers()

    def workers(self) -> set[int]:
        """The process numbers of gunicorn's workers that are alive."""
        return {pid for pid, parent, state in _processes() if parent == self.pid and state != "Z"}

    def all_workers(self) -> list[int]:
        """The process numbers of both workers, once both are there and heed signals."""
        wait_until(lambda: len(self.workers()) == WORKERS and all(map(_heeds_signals, self.workers())), "every worker")
        return sorted(self.workers())

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """What is asked within the block is answered by ``worker``: all others are stopped meanwhile."""
        others = self.workers() - {worker}
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state == "T" for pid, _, state in _processes() if pid in others), "a stop")
        try:
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def log_lines(self) -> list[dict[str, Any]]:
        """The log so far, which has to be one JSON object per line."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and give the exit status of the service."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def kill(self) -> None:
        """End all its processes at once, by SIGKILL."""
        _kill_group(self.process, self.environ)

    def is_gone(self) -> bool:
        """Whether no process of it is left."""
        return not [pid for pid, _, state in _processes() if state != "Z" and _group(pid) == self.pid]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT)
        self._path = path

    def connect(self) -> None:
        """As HTTPConnection's, with another kind of address."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(self._path)


@contextmanager
def serving(
    data_dir: Path, settings: Mapping[str, str] = DEFAULTS, *, umask: int = 0o022, directory: Path = config.ROOT
) -> Iterator[Service]:
    """The service on ``data_dir``, from its first answer to the end of the block.

    ``settings`` are MAILSVC_ settings without the prefix; BIND is a free port of 127.0.0.1 unless given. ``directory``
    is the one that the service is started in.
    """
    bind = settings.get("BIND", f"127.0.0.1:{free_port()}")
    environ = environment(data_dir, {**settings, "BIND": bind})
    # Beside the data directory, numbered: a test may start several services on the same directory.
    base = config.ROOT.joinpath(directory, data_dir).absolute()
    printed, log = (base.with_name(f"{base.name}.{next(_numbers)}.{name}") for name in ("printed", "log"))
    with printed.open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            [*_ends_with_parent(), *SERVE],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environ,
            cwd=directory,
            umask=umask,
            start_new_session=True,
        )
    service = Service(process, base, bind, environ, printed, log)
    try:
        wait_until(lambda: service.is_ready() or process.poll() is not None, "the service's first answer")
        assert process.poll() is None, f"the service ended with {process.returncode}: {log.read_text()}"
        yield service
    except BaseException as error:
        error.add_note(f"the service's exit status: {process.poll()}; the end of its log:\n{log.read_text()[-4000:]}")
        raise
    finally:
        _kill_group(process, environ)


MAILSVC = (sys.executable, "-m", "mailsvc")
SERVE = (*MAILSVC, "serve")


def environment(data_dir: Path, settings: Mapping[str, str] = DEFAULTS) -> dict[str, str]:
    """What a process of mailsvc sees of the world. PYTHONPATH: so that it may be started in any directory."""
    ours = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(config.ROOT)}
    named = {"DATA_DIR": str(data_dir), "HOSTNAME": HOSTNAME, **settings}
    return ours | {f"MAILSVC_{name}": value for name, value in named.items()}


def run(
    arguments: Sequence[str], environ: Mapping[str, str], *, stdin: str = "", umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in the checkout."""
    return subprocess.run(
        arguments, input=stdin, capture_output=True, text=True, env=environ, cwd=config.ROOT, umask=umask, timeout=LIMIT
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return once ``condition`` holds; fail after a generous time."""
    expires = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < expires, f"waited in vain for {what}"
        time.sleep(0.01)


def without_privileges() -> list[str]:
    """What to start a program with so that root, too, may do only what modes and owners allow."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv (util-linux) is needed to give up root's privileges"
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--"]


def _ends_with_parent() -> list[str]:
    """What makes Linux end the service when the tests themselves are killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _local(host: str) -> str:
    bare = host.strip("[]")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bare, bare)


def _kill_group(process: subprocess.Popen[bytes], environ: Mapping[str, str]) -> None:
    """End all processes of a service. Once it was waited for, its number may be somebody else's."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ours = {f"{name}={environ[name]}" for name in ("MAILSVC_DATA_DIR", "MAILSVC_BIND")}
    for pid, _, _ in _processes():
        if _group(pid) == process.pid and ours <= _environment(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _environment(pid: int) -> set[str]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0"))
    except OSError:
        return set()


def _processes() -> Iterator[tuple[int, int, str]]:
    """Number, parent's number and state of every process."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield int(path.parent.name), int(parent), state


def _heeds_signals(worker: int) -> bool:
    """Whether gunicorn's worker is that far: unlike the master it came from, it catches SIGABRT."""
    try:
        status = Path(f"/proc/{worker}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = int(re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)[0], 16)
    return bool(caught >> (signal.SIGABRT - 1) & 1)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
