"""addmail by a caller who is remembered, distinct addresses, against the Argon2id ceiling of the machine, in turns."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import processor, progress
from bench.figures import AtLeast, Figure, median_of
from bench.ground import Ground
from bench.hashing import Ceiling, Rate, ceiling
from bench.load import CONNECTIONS, DISTINCT_ADDRESSES, Load, demand_wrk, posts
from bench.processes import CannotMeasure
from bench.service import ADDER, Service, serving

PART = "addmail"
ROUNDS = 5
SECONDS = 4.0
TARGET = AtLeast(0.85)

_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Added:
    """The load of adding mailboxes, and the processor time of each in milliseconds."""

    load: Load
    processor: float


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of both. The ceiling is measured before and after: a shared machine changes its speed within seconds."""

    before: Rate
    added: Added
    after: Rate

    @property
    def ceiling(self) -> float:
        """Hashes per second."""
        return (self.before.per_second + self.after.per_second) / 2


def measure(ground: Ground) -> Iterator[Figure]:
    """Mailboxes and hashes per second, and the median of the rounds' ratios."""
    demand_wrk()
    with serving(ground.small_data(PART)) as service, ceiling() as hashes:
        adding(service, 1)
        rounds = [_round(number, service, hashes) for number in range(1, ROUNDS + 1)]
    yield from _figures(rounds)


def _round(number: int, service: Service, hashes: Ceiling) -> Round:
    progress.say(f"{PART}: round {number} of {ROUNDS}")
    return Round(hashes.rate(SECONDS / 2), adding(service, SECONDS), hashes.rate(SECONDS / 2))


def _figures(rounds: Sequence[Round]) -> Iterator[Figure]:
    added = [turn.added.load for turn in rounds]
    yield median_of(PART, "Argon2id hashes, all cores", [turn.ceiling for turn in rounds], "per s")
    yield median_of(PART, "addmail", [load.per_second for load in added], "per s")
    ratios = [turn.added.load.per_second / turn.ceiling for turn in rounds]
    yield median_of(PART, "addmail / ceiling", ratios, target=TARGET)
    yield median_of(PART, f"addmail, slowest 1 %, {CONNECTIONS} connections", [load.p99 for load in added], "ms")
    hashing = [rate.processor for turn in rounds for rate in (turn.before, turn.after)]
    yield median_of(PART, "processor time of a hash", hashing, "ms")
    yield median_of(PART, "processor time of an addmail", [turn.added.processor for turn in rounds], "ms")


def adding(service: Service, seconds: float) -> Added:
    """Add mailboxes for ``seconds``. Raises CannotMeasure unless every one that was acknowledged is stored."""
    before, worked = service.mailboxes(), processor.seconds_of_workers(service.process.pid)
    body = ADDER.form("addmail", email=f"run{next(_runs)}.NUMBER@{ADDER.domain}", password="Box-1", quota="1024")
    load = posts(service.url, body, seconds, DISTINCT_ADDRESSES)
    service.settle()
    stored = service.mailboxes() - before
    if not stored:
        raise CannotMeasure(f"no mailbox was added within {seconds:.0f} s: the machine has too much else to do")
    # Requests that were under way when wrk stopped are carried out too.
    if not load.requests <= stored <= load.requests + CONNECTIONS:
        raise CannotMeasure(f"{load.requests} addmail were acknowledged, {stored} mailboxes stored")
    return Added(load, (processor.seconds_of_workers(service.process.pid) - worked) / stored * 1000)
