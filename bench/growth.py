"""addmail without the password hash at 1,000,000 mailboxes in 10,000 domains against 1,000 mailboxes, in turns.

The use-case itself is called, durable commit included, in one thread. Its hash is replaced by a fixed text.
"""

import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench import progress
from bench.figures import AtMost, Figure, median_of, percentile
from bench.ground import Filled, Ground
from bench.inside import ports_without_hash
from mailsvc.core.acts import USER, Act, PanelUser
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from mailsvc.services.ports import Ports

PART = "growth"
BATCHES = 150
IN_BATCH = 20
"""Short turns, because the price of a durable commit changes from one second to the next."""

WARM_UP = 10
TARGET = AtMost(1.2)


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of each call: on the clock, and of processor time."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


class Adder:
    """Adds mailboxes to random domains of one database, as their owner."""

    def __init__(self, filled: Filled) -> None:
        self._ports: Ports = ports_without_hash(filled.directory)
        self._content = filled.content
        self._dice = random.Random(2)
        self._added = 0

    def add(self, count: int) -> Cost:
        """Add ``count`` mailboxes; gives the cost of each."""
        cost = Cost()
        for _ in range(count):
            begun, worked = time.perf_counter(), time.thread_time()
            self._add()
            cost.clock.append((time.perf_counter() - begun) * 1000)
            cost.processor.append((time.thread_time() - worked) * 1000)
        return cost

    def _add(self) -> None:
        self._added += 1
        number = self._dice.randrange(len(self._content.domains))
        owner = PanelUser(self._content.owner_of(number), "owner", USER)
        address = f"{self._dice.getrandbits(32):08x}.{self._added}@{self._content.domains[number]}"
        act = Act("bench", "addmail", owner.name, owner)
        mailboxes.add(self._ports, act, address=mailbox_address(address), password="Box-1", quota_mib=1024)

    def close(self) -> None:
        self._ports.store.close()


def measure(ground: Ground) -> Iterator[Figure]:
    """Cost of a call at both sizes, and its ratios."""
    adders = Adder(ground.thousand), Adder(ground.million)
    costs = Cost(), Cost()
    progress.say(f"{PART}: {BATCHES} batches of {IN_BATCH} at both sizes")
    try:
        for batch in range(WARM_UP + BATCHES):
            for adder, cost in zip(adders, costs, strict=True):
                added = adder.add(IN_BATCH)
                if batch >= WARM_UP:
                    cost.clock.extend(added.clock)
                    cost.processor.extend(added.processor)
    finally:
        for adder in adders:
            adder.close()
    yield from _figures(*costs)


def _figures(thousand: Cost, million: Cost) -> Iterator[Figure]:
    for size, cost in (("1,000", thousand), ("1,000,000", million)):
        yield median_of(PART, f"one addmail without hash at {size} mailboxes", cost.clock, "ms")
        yield Figure(PART, f"the same, slowest 1 %, at {size}", percentile(cost.clock, 99), "ms")
    median, mean = statistics.median, statistics.fmean
    yield Figure(PART, "cost at 1,000,000 / at 1,000", median(million.clock) / median(thousand.clock), target=TARGET)
    yield Figure(PART, "the same of the means", mean(million.clock) / mean(thousand.clock))
    yield Figure(PART, "the same of mean processor time", mean(million.processor) / mean(thousand.processor))
