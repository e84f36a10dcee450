"""gunicorn's processes and threads: what each choice serves, how long the slowest wait, and what it weighs."""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import addmail, lists, memory, progress, pss
from bench.figures import Figure
from bench.ground import Ground
from bench.load import Load, demand_wrk, posts
from bench.service import Data, serving

PART = "workers"
PROCESSES = (1, 2, 3)
THREADS = (1, 2, 3, 4)
ROUNDS = 2
SECONDS = 3.0

Choice = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """One round of one choice; ``weight`` is the PSS after both loads, in MB."""

    listed: Load
    added: Load
    weight: float


def measure(ground: Ground) -> Iterator[Figure]:
    """Every choice in turn, ROUNDS times; medians."""
    demand_wrk()
    data = ground.small_data(PART)
    trials: dict[Choice, list[Trial]] = defaultdict(list)
    for number in range(1, ROUNDS + 1):
        for choice in ((processes, threads) for processes in PROCESSES for threads in THREADS):
            progress.say(f"{PART}: round {number} of {ROUNDS}, {choice[0]} x {choice[1]}")
            trials[choice].append(_trial(data, choice))
    for choice, tried in trials.items():
        yield from _figures(choice, tried)


def _trial(data: Data, choice: Choice) -> Trial:
    with serving(data.with_settings(WORKERS=str(choice[0]), THREADS=str(choice[1]))) as service:
        lists.check_list(service)
        posts(service.url, lists.BODY, 1)
        listed = posts(service.url, lists.BODY, SECONDS)
        added = addmail.adding(service, SECONDS).load
        time.sleep(memory.REST_SECONDS)
        return Trial(listed, added, pss.of_family(service.process.pid))


def _figures(choice: Choice, tried: Sequence[Trial]) -> Iterator[Figure]:
    name = f"{choice[0]} x {choice[1]}"
    columns = (
        ("getlistmail", [trial.listed.per_second for trial in tried], "requests/s"),
        ("getlistmail, slowest 1 %", [trial.listed.p99 for trial in tried], "ms"),
        ("addmail", [trial.added.per_second for trial in tried], "per s"),
        ("addmail, slowest 1 %", [trial.added.p99 for trial in tried], "ms"),
        ("memory afterwards", [trial.weight for trial in tried], "MB"),
    )
    for what, samples, unit in columns:
        yield Figure(PART, f"{name}: {what}", statistics.median(samples), unit, samples=samples)
