"""``serve`` on an existing database: seconds from starting the process to its first answers."""

import time
from collections.abc import Iterator
from contextlib import closing

from bench import progress
from bench.figures import AtMost, Figure, median_of
from bench.ground import Ground
from bench.processes import free_port, running, wait_for_answer
from bench.service import LISTER, Client, Data

PART = "start"
RUNS = 5
TARGET = AtMost(2.5)


def measure(ground: Ground) -> Iterator[Figure]:
    """To the first HTTP 200 of /healthz, and to the first getlistmail (its caller's password is hashed)."""
    data = ground.small_data(PART)
    runs = [_run(number, data) for number in range(1, RUNS + 1)]
    yield median_of(PART, "serve to first /healthz", [health for health, _ in runs], "s", TARGET)
    yield median_of(PART, "serve to first getlistmail", [listed for _, listed in runs], "s", TARGET)


def _run(number: int, data: Data) -> tuple[float, float]:
    progress.say(f"{PART}: {number} of {RUNS}")
    port = free_port()
    log = data.directory.with_suffix(".log")
    begun = time.perf_counter()
    with running(["-m", "mailsvc", "serve"], data.environment(port), log) as process:
        wait_for_answer(port, "/healthz", process, log)
        health = time.perf_counter() - begun
        with closing(Client(port)) as client:
            client.demand(LISTER.form("getlistmail"))
        return health, time.perf_counter() - begun
