"""The Argon2id ceiling: how many hashes with the product's parameters per second all cores of the machine can make.

The library alone, in a process per core that does nothing else and keeps its memory from one hash to the next.
"""

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from argon2 import PasswordHasher, extract_parameters

from bench.machine import cores
from bench.processes import CannotMeasure

PATIENCE = 30.0
"""Seconds to wait for a process beyond the time it was asked to hash."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Hashes per second, and the processor time of each in milliseconds."""

    per_second: float
    processor: float


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A process per core, waiting to be told how long to hash."""

    processes: tuple[Connection, ...]

    def rate(self, seconds: float) -> Rate:
        """What all processes together reach in ``seconds``."""
        for process in self.processes:
            process.send(seconds)
        rates = [_answer(process, seconds) for process in self.processes]
        return Rate(sum(rate.per_second for rate in rates), statistics.fmean(rate.processor for rate in rates))


def _answer(process: Connection, seconds: float) -> Rate:
    try:
        if process.poll(seconds + PATIENCE):
            rate: Rate = process.recv()
            return rate
    except EOFError:
        pass
    raise CannotMeasure("a process that should hash passwords does not answer")


@contextmanager
def ceiling() -> Iterator[Ceiling]:
    """The processes, ready; gone afterwards."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(cores())]
    processes = [context.Process(target=_hash_on_demand, args=(theirs,), daemon=True) for _, theirs in pipes]
    try:
        for process, (_, theirs) in zip(processes, pipes, strict=True):
            process.start()
            theirs.close()
        made = Ceiling(tuple(ours for ours, _ in pipes))
        made.rate(0.1)
        yield made
    finally:
        for process in processes:
            process.kill()
            process.join()


def _product_hasher() -> PasswordHasher:
    """The library, with the parameters that are written in a hash of the product."""
    from mailsvc.vault.passwords import SCHEME, Passwords

    stored = Passwords(at_once=1).hash("a password of usual length")
    return PasswordHasher.from_parameters(extract_parameters(stored.removeprefix(SCHEME)))


def _hash_on_demand(orders: Connection) -> None:
    hasher = _product_hasher()
    while True:
        seconds: float = orders.recv()
        begun, worked, count = time.perf_counter(), time.process_time(), 0
        while (elapsed := time.perf_counter() - begun) < seconds:
            hasher.hash("a password of usual length")
            count += 1
        orders.send(Rate(count / elapsed, (time.process_time() - worked) / count * 1000))
