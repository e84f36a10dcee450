"""The SQLite file and its two companions, arranged so that Postfix, Dovecot and PowerDNS can read them at any time.

A reader that may not write the database can open it only while ``-wal`` and ``-shm`` exist, and must be able to write
``-shm`` (the index of the log, with the readers' locks): read-only, look-ups die under a hundred commits per second.
SQLite removes both when the last connection closes, so whoever closes puts empty ones back: those are enough.
"""

import os
from contextlib import suppress
from pathlib import Path

DATABASE_MODE = 0o640
SHARED_INDEX_MODE = 0o660
DIRECTORY_MODE = 0o750


def companions(database: Path) -> tuple[Path, Path]:
    """The ``-wal`` and the ``-shm`` file of ``database``."""
    return database.with_name(database.name + "-wal"), database.with_name(database.name + "-shm")


def make_readable(database: Path) -> None:
    """Make what is missing of the three files (empty), and give each its mode and, when root does this, its owner.

    The database belongs to whom its directory belongs to, its companions to whom the database belongs to. Needs no
    connection and disturbs none.
    """
    log, shared_index = companions(database)
    _make(database, DATABASE_MODE, like=database.parent)
    _make(log, DATABASE_MODE, like=database)
    _make(shared_index, SHARED_INDEX_MODE, like=database)


def _make(path: Path, mode: int, like: Path) -> None:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except FileExistsError:
        set_mode(path, mode)
        return
    give_to_owner(path, like)
    set_mode(path, mode)


def give_to_owner(path: Path, like: Path) -> None:
    """When root has just made ``path``: let it belong to whom ``like`` belongs to, for the service is not root."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def set_mode(path: Path, mode: int) -> None:
    """Give ``path`` its mode if it has another.

    A file of somebody else's, or one just removed, is left to its owner.
    """
    with suppress(PermissionError, FileNotFoundError):
        if path.stat().st_mode & 0o777 != mode:
            path.chmod(mode)
