"""The Argon2id ceiling: how many of the product's password hashes per second all cores of the machine can make."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.machine import cores
from bench.processes import CannotMeasure

PATIENCE = 30.0
"""Seconds to wait for a process beyond the time it was asked to hash."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A process per core, each with the product's own Passwords, waiting to be told how long to hash."""

    processes: tuple[Connection, ...]

    def per_second(self, seconds: float) -> float:
        """Hashes per second of all processes together, measured for ``seconds``."""
        for process in self.processes:
            process.send(seconds)
        return sum(_answer(process, seconds) for process in self.processes)


def _answer(process: Connection, seconds: float) -> float:
    try:
        if process.poll(seconds + PATIENCE):
            rate: float = process.recv()
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
        made.per_second(0.1)
        yield made
    finally:
        for process in processes:
            process.kill()
            process.join()


def _hash_on_demand(orders: Connection) -> None:
    from mailsvc.vault.passwords import Passwords

    passwords = Passwords(at_once=1)
    while True:
        seconds: float = orders.recv()
        begun, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < seconds:
            passwords.hash("a password of usual length")
            count += 1
        orders.send(count / elapsed)
