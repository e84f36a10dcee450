"""How mailsvc is served. `python -m mailsvc serve` starts gunicorn with this file; docs/performance.md has the
figures."""

import gc
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from config import load
from mailsvc.store import files

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
    shutil.rmtree(counts, ignore_errors=True)
    counts.mkdir(mode=0o700, parents=True, exist_ok=True)


def when_ready(server: Any) -> None:
    """The application is loaded: what it is made of will not be garbage, and need not be touched by any worker."""
    # Not above: the metrics choose how they count when they are imported, by PROMETHEUS_MULTIPROC_DIR.
    from mailsvc.serving import warm_up

    warm_up(server.app.wsgi())
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Hold a connection from the first moment on: while one is open nobody's closing takes -wal and -shm away."""
    with worker.wsgi.extensions["mailsvc"].store.reading():
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
