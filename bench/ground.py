"""What the parts of one run stand on: its directory, and the databases that are made once and used by several parts."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench import progress
from bench.population import Population, Size, populate
from bench.service import Data, copy_of, small_data

SMALL = Size(domains=10, mailboxes=1_000, forwards=50)
LARGE = Size(domains=10_000, mailboxes=1_000_000, forwards=50_000)


@dataclass(frozen=True, slots=True)
class Filled:
    """A data directory and what was put into its database."""

    directory: Path
    content: Population

    @property
    def database(self) -> Path:
        return self.directory / "mailsvc.sqlite3"


class Ground:
    """Made at the start of a run, gone at its end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def small_data(self, name: str) -> Data:
        """A data directory for the part ``name`` alone, with two users and ten mailboxes."""
        return copy_of(self._small_data, self.directory / name)

    @cached_property
    def _small_data(self) -> Data:
        progress.say("making a small database")
        return small_data(self.directory / "small")

    @cached_property
    def thousand(self) -> Filled:
        """1,000 mailboxes in 10 domains."""
        return _filled(self.directory / "thousand", SMALL)

    @cached_property
    def million(self) -> Filled:
        """1,000,000 mailboxes in 10,000 domains."""
        return _filled(self.directory / "million", LARGE)


def _filled(directory: Path, size: Size) -> Filled:
    # Not before it is needed: what the memory is measured of shall not share pages with this process.
    from bench.inside import prepare

    progress.say(f"making a database of {size.mailboxes:,} mailboxes")
    prepare(directory)
    return Filled(directory, populate(directory / "mailsvc.sqlite3", size))


@contextmanager
def ground() -> Iterator[Ground]:
    """A new directory where ``TMPDIR`` says, else in /var/tmp: /tmp is often in memory, where commits cost nothing."""
    parent = os.environ.get("TMPDIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="mailsvc-bench-", dir=parent) as name:
        yield Ground(Path(name))
