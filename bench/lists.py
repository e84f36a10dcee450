"""getlistmail of a user with ten mailboxes, credential cached, against the floor, in turns."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from bench import processor, progress
from bench.figures import AtLeast, Figure, median_of
from bench.floor import floor_beside
from bench.ground import Ground
from bench.load import Load, demand_wrk, posts
from bench.processes import CannotMeasure
from bench.service import BOXES, LISTER, Service, serving

PART = "lists"
ROUNDS = 6
SECONDS = 3.0
TARGET = AtLeast(0.5)

BODY = LISTER.form("getlistmail")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one server: the load it bore, and the processor time of each request in microseconds."""

    load: Load
    processor: float


def measure(ground: Ground) -> Iterator[Figure]:
    """Requests per second of both, and the median of the rounds' ratios."""
    demand_wrk()
    with serving(ground.small_data(PART)) as service, floor_beside(service, check_list(service)) as floor:
        for server in (floor, service):
            posts(server.url, BODY, 1)
        rounds = [_round(number, floor, service) for number in range(1, ROUNDS + 1)]
        check_list(service)
    yield from _figures(rounds)


def _round(number: int, floor: Service, ours: Service) -> tuple[Turn, Turn]:
    progress.say(f"{PART}: round {number} of {ROUNDS}")
    return _turn(floor), _turn(ours)


def _turn(server: Service) -> Turn:
    before = processor.seconds_of_workers(server.process.pid)
    load = posts(server.url, BODY, SECONDS)
    return Turn(load, (processor.seconds_of_workers(server.process.pid) - before) / load.requests * 1e6)


def _figures(rounds: Sequence[tuple[Turn, Turn]]) -> Iterator[Figure]:
    yield median_of(PART, "bare Flask form post", [floor.load.per_second for floor, _ in rounds], "requests/s")
    yield median_of(PART, "getlistmail of 10 boxes", [ours.load.per_second for _, ours in rounds], "requests/s")
    ratios = [ours.load.per_second / floor.load.per_second for floor, ours in rounds]
    yield median_of(PART, "getlistmail / floor", ratios, target=TARGET)
    yield median_of(PART, "getlistmail, slowest 1 %, 32 connections", [ours.load.p99 for _, ours in rounds], "ms")
    yield median_of(PART, "processor time of a bare post", [floor.processor for floor, _ in rounds], "µs")
    yield median_of(PART, "processor time of a getlistmail", [ours.processor for _, ours in rounds], "µs")


def check_list(service: Service) -> int:
    """The size of the answer in bytes. Raises CannotMeasure unless it is the list that is to be measured."""
    with closing(service.client()) as client:
        status, answer = client.post(BODY)
    if status != 200 or answer.count(LISTER.domain.encode()) != 2 * BOXES:
        raise CannotMeasure(f"getlistmail does not answer the ten mailboxes: HTTP {status}, {answer[:200]!r}")
    return len(answer)
