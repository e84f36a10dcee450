"""Which processors the workers run on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.running import Service, serving, wait_until


@pytest.fixture
def two() -> Iterator[list[int]]:
    """The two processors that what the test starts may use."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not let a process keep to a processor")
    before = os.sched_getaffinity(0)
    processors = sorted(before)[:2]
    if len(processors) < 2:
        pytest.skip("there is but one processor")
    os.sched_setaffinity(0, processors)
    yield processors
    os.sched_setaffinity(0, before)


def kept_to(service: Service) -> list[set[int]]:
    """The processors of each worker, and of all its threads."""
    threads = [[int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()] for pid in service.all_workers()]
    assert all(len({tuple(os.sched_getaffinity(thread)) for thread in of_one}) == 1 for of_one in threads)
    return sorted((os.sched_getaffinity(pid) for pid in service.all_workers()), key=min)


def test_each_of_as_many_workers_as_processors_keeps_to_one(data_dir: Path, two: list[int]) -> None:
    with serving(data_dir) as service:
        assert kept_to(service) == [{processor} for processor in two]
        assert os.sched_getaffinity(service.pid) == set(two)
        for worker in service.all_workers():
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: worker not in service.workers(), "the worker to end")  # noqa: B023 - called at once
            assert kept_to(service) == [{processor} for processor in two], "its successor takes its place"


def test_fewer_workers_than_processors_may_run_anywhere(data_dir: Path, two: list[int]) -> None:
    with serving(data_dir, {"WORKERS": "1"}) as service:
        (worker,) = service.workers()
        assert os.sched_getaffinity(worker) == set(two)
