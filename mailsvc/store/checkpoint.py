"""The one place that moves the write-ahead log into the database file.

SQLite before 3.51.3 can corrupt a database when one connection writes at a particular moment of another's checkpoint
(https://sqlite.org/wal.html#walresetbug). So no connection checkpoints by itself (``wal_autocheckpoint = 0``); whoever
has committed looks at the log's size, and above the limit checkpoints while it holds the write lock, so that nobody can
write meanwhile. Readers are not held up.
"""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

log = logging.getLogger("mailsvc.checkpoint")

LOG_BYTES = 4 * 1024 * 1024
"""The size that the log keeps, and beyond which a checkpoint is due: 1,000 pages, SQLite's own measure."""


def when_due(database: Path) -> None:
    """Checkpoint if the log has grown beyond LOG_BYTES and nobody is writing now; else leave it to the next commit."""
    try:
        due = os.stat(f"{database}-wal").st_size > LOG_BYTES  # noqa: PTH116 - after every commit, and much cheaper
    except FileNotFoundError:
        return
    except OSError as error:
        # Whoever has committed shall not be told that he has not.
        log.warning("cannot look at the log of %s: %s", database, error.strerror)
        return
    if due:
        try:
            now(database)
        except sqlite3.Error as error:
            # What was committed is committed; the next commit tries again.
            log.warning("cannot checkpoint %s: %s", database, error)


def now(database: Path) -> bool:
    """Checkpoint as far as readers allow. False if somebody was writing, which leaves the log for another time."""
    with (
        closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as guard,
        closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as worker,
    ):
        try:
            guard.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        try:
            worker.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            guard.execute("ROLLBACK")
    return True
