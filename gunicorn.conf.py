"""How mailsvc is served. `python -m mailsvc serve` starts gunicorn with this file; docs/performance.md has the
figures."""

import gc
import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from config import load
from mailsvc.store import Store, files

settings = load()

wsgi_app = "wsgi:app"
bind = str(settings.bind)

# Two processes, because one gthread process is held to a third of two by the interpreter lock; threads, so that a slow
# connection does not hold up the others.
workers = settings.workers
threads = settings.threads
worker_class = "mailsvc.serving.Worker"
# The application is loaded once, and its memory shared by all workers.
preload_app = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112
keepalive = 15
timeout = 60
graceful_timeout = 20
control_socket_disable = True

# Request lines and headers that are longer are refused by gunicorn itself.
limit_request_line = 8190
limit_request_field_size = 8190

# What a proxy says is believed by the application alone, if MAILSVC_TRUSTED_PROXIES says so. gunicorn would believe
# whoever calls from this machine or over a Unix socket: what clients make up reaches it there through the proxy.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""

# mailsvc writes its own line per request; gunicorn's would hold query strings, which can hold passwords.
accesslog = None
logger_class = "mailsvc.serving.Log"

# In memory where that is possible: the counts are mapped files, and a full disk would kill the worker that counts.
shared_memory = Path("/dev/shm")  # noqa: S108
name = f"mailsvc-{os.getuid()}-{hashlib.sha256(bytes(settings.data_dir)).hexdigest()[:12]}"
counts = shared_memory / name if os.access(shared_memory, os.W_OK) else settings.data_dir / "metrics"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counts)


def on_starting(_server: Any) -> None:
    """Counts begin at zero."""
    from mailsvc.serving import let_end

    os.register_at_fork(after_in_parent=let_end)
    shutil.rmtree(counts, ignore_errors=True)
    counts.mkdir(mode=0o700, parents=True, exist_ok=True)


def pre_fork(server: Any, worker: Any) -> None:
    """In the master. The worker lets signals in when it can heed them, the master as soon as the worker is there."""
    from mailsvc.serving import hold_end_back

    hold_end_back()
    worker.processor = _processor_beside(server.WORKERS.values())


def _processor_beside(others: Iterable[Any]) -> int | None:
    """Where a worker shall stay if there are no fewer workers than processors: where the fewest others are.

    Its threads hand the interpreter lock to and fro at every call of SQLite's. From one processor to another that takes
    a fifth of the time of a request, and whatever else the machine does finds the other processor free.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    processors = sorted(os.sched_getaffinity(0))
    if settings.workers < len(processors):
        return None
    taken = [other.processor for other in others]
    return min(processors, key=taken.count)


def post_fork(_server: Any, worker: Any) -> None:
    """In the worker, before it has any threads: they will stay where it stays."""
    if worker.processor is not None:
        # A sandbox may forbid it, and nothing depends on it.
        with suppress(OSError):
            os.sched_setaffinity(0, {worker.processor})


def when_ready(server: Any) -> None:
    """The application is loaded: what it is made of will not be garbage, and need not be touched by any worker."""
    # Not above: the metrics choose how they count when they are imported, by PROMETHEUS_MULTIPROC_DIR.
    from mailsvc import rehearsal

    rehearsal.hold(server.app.wsgi())
    gc.collect()
    # malloc sorts what was freed at the next large request: here, or each process would do it in pages of its own.
    bytearray(512 * 1024)
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Hold a connection from the first moment on: while one is open nobody's closing takes -wal and -shm away."""
    # Opened by a thread that handles requests: mailsvc.cli.serve says where each has its memory from.
    worker.tpool.submit(_open_connection, worker.wsgi.extensions["mailsvc"].store).result()


def _open_connection(store: Store) -> None:
    with store.reading():
        pass


def child_exit(_server: Any, worker: Any) -> None:
    """A worker is gone: its counts stay, its gauges do not."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(_server: Any) -> None:
    """The last connection is closed: the mail servers must be able to go on reading."""
    shutil.rmtree(counts, ignore_errors=True)
    if settings.database_file is not None:
        files.make_readable(settings.database_file)
