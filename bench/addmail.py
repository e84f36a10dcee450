"""addmail by a caller who is remembered, distinct addresses, against the Argon2id ceiling of the machine, in turns."""

import itertools
from collections.abc import Iterator

from bench import progress
from bench.figures import AtLeast, Figure, median_of
from bench.ground import Ground
from bench.hashing import Ceiling, ceiling
from bench.load import CONNECTIONS, DISTINCT_ADDRESSES, Load, demand_wrk, posts
from bench.processes import CannotMeasure
from bench.service import ADDER, Service, serving

PART = "addmail"
ROUNDS = 5
SECONDS = 4.0
TARGET = AtLeast(0.85)

_runs = itertools.count(1)


def measure(ground: Ground) -> Iterator[Figure]:
    """Mailboxes and hashes per second, and the median of the rounds' ratios."""
    demand_wrk()
    with serving(ground.small_data(PART)) as service, ceiling() as hashes:
        adding(service, 1)
        rounds = [_round(number, service, hashes) for number in range(1, ROUNDS + 1)]
    yield median_of(PART, "Argon2id hashes, all cores", [limit for limit, _ in rounds], "per s")
    yield median_of(PART, "addmail", [added.per_second for _, added in rounds], "per s")
    yield median_of(PART, "addmail, slowest 1 %, 32 connections", [added.p99 for _, added in rounds], "ms")
    ratios = [added.per_second / limit for limit, added in rounds]
    yield median_of(PART, "addmail / ceiling", ratios, target=TARGET)


def _round(number: int, service: Service, hashes: Ceiling) -> tuple[float, Load]:
    """The ceiling is measured before and after, because the speed of a shared machine changes within seconds."""
    progress.say(f"{PART}: round {number} of {ROUNDS}")
    before = hashes.per_second(SECONDS / 2)
    added = adding(service, SECONDS)
    return (before + hashes.per_second(SECONDS / 2)) / 2, added


def adding(service: Service, seconds: float) -> Load:
    """The load of adding mailboxes. Raises CannotMeasure unless every one that was acknowledged is stored."""
    before = service.mailboxes()
    body = ADDER.form("addmail", email=f"run{next(_runs)}.NUMBER@{ADDER.domain}", password="Box-1", quota="1024")
    load = posts(service.url, body, seconds, DISTINCT_ADDRESSES)
    service.settle()
    stored, acknowledged = service.mailboxes() - before, load.requests
    # Requests that were under way when wrk stopped are carried out too.
    if not acknowledged <= stored <= acknowledged + CONNECTIONS:
        raise CannotMeasure(f"{acknowledged} addmail were acknowledged, {stored} mailboxes stored")
    return load
