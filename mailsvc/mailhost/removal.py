"""Taking homes off the disk. Nothing here follows a symbolic link below the mail root, or touches a name that is no
incarnation: whoever owns a home could else have other files removed in his place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mailsvc.mailhost.homes import INCARNATION, SHARD, home


def refuse_missing(root: Path) -> None:
    """Raises OSError if the mail root is not a directory that can be read: it may just not be mounted."""
    os.close(os.open(root, os.O_RDONLY | os.O_DIRECTORY))


def remove(root: Path, incarnation: str) -> None:
    """Remove the home of ``incarnation`` with everything in it; succeeds when there is none.

    May be repeated after it was interrupted. Raises ValueError for what is no incarnation, OSError when something is in
    the way, as is a symbolic link in the place of a directory.
    """
    with suppress(FileNotFoundError), _above(root, incarnation) as shard:
        shutil.rmtree(incarnation, dir_fd=shard)


def homes_below(root: Path) -> Iterator[str]:
    """The incarnations that have a home below ``root``. Raises OSError."""
    with os.scandir(root) as shards:
        names = [entry.name for entry in shards if len(entry.name) == SHARD and entry.is_dir(follow_symlinks=False)]
    for shard in names:
        with suppress(FileNotFoundError), os.scandir(root / shard) as entries:
            for entry in entries:
                if _is_home(shard, entry.name) and entry.is_dir(follow_symlinks=False):
                    yield entry.name


def last_change(root: Path, incarnation: str) -> float:
    """When anything in that home changed last, in seconds since 1970. Raises ValueError, OSError."""
    with _above(root, incarnation) as shard:
        return max(
            os.stat(name, dir_fd=directory, follow_symlinks=False).st_ctime
            for _, folders, files, directory in os.fwalk(incarnation, dir_fd=shard)
            for name in (".", *folders, *files)
        )


def _is_home(shard: str, name: str) -> bool:
    return INCARNATION.fullmatch(name) is not None and name.startswith(shard)


@contextmanager
def _above(root: Path, incarnation: str) -> Iterator[int]:
    """The directory above the home, held open: it stays the same whatever is put in its place meanwhile."""
    if not INCARNATION.fullmatch(incarnation):
        raise ValueError("not an incarnation")
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = home(root, incarnation).parent.name
        shard = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    finally:
        os.close(top)
    try:
        yield shard
    finally:
        os.close(shard)
