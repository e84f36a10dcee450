"""Memory of a service: the proportional set size (PSS) of its master and workers together, in MB (2^20 bytes).

PSS counts a page that several processes share once, in parts. A page of a library that programs outside the service use
as well is counted in part only, so measure on a machine where nothing else runs.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INTERVAL = 0.05
"""Seconds between two samples."""


def of_family(pid: int, share: str = "Pss") -> float:
    """PSS of ``pid`` and its children; with ``Pss_Anon`` only what is not backed by files, which nobody else shares."""
    return sum(_of_process(member, share) for member in (pid, *children(pid))) / 1024


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that are still there."""
    listed = (Path(f"/proc/{pid}/task/{pid}/children")).read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def _of_process(pid: int, share: str) -> int:
    """KiB; 0 for a process that has just gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        found = re.search(rf"^{share}:\s+(\d+) kB", text, re.MULTILINE)
        return int(found[1]) if found else 0
    return 0


@contextmanager
def sampled(pid: int) -> Iterator[list[float]]:
    """The family's PSS every INTERVAL while the block runs."""
    samples = [of_family(pid)]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(INTERVAL):
            samples.append(of_family(pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        over.set()
        sampler.join()
