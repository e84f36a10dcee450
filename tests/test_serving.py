"""The threads that handle requests, and those that stand in for them."""

import threading
from collections.abc import Iterator

import pytest

from mailsvc.serving import Threads

PATIENCE = 30.0


@pytest.fixture
def pool() -> Iterator[Threads]:
    threads = Threads(2)
    yield threads
    threads.shutdown()


def test_results_and_failures_come_back(pool: Threads) -> None:
    assert pool.submit(divmod, 7, 2).result(PATIENCE) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 7, 0).result(PATIENCE)
    assert pool.submit(pow, 2, exp=3).result(PATIENCE) == 8


def test_no_more_than_its_number_work_at_once(pool: Threads) -> None:
    go, begun = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        begun.release()
        go.wait(PATIENCE)

    futures = [pool.submit(work) for _ in range(3)]
    assert begun.acquire(timeout=PATIENCE) and begun.acquire(timeout=PATIENCE)
    assert not futures[2].running()
    go.set()
    for future in futures:
        future.result(PATIENCE)


def test_who_waits_is_stood_in_for(pool: Threads) -> None:
    go, waiting = threading.Event(), threading.Semaphore(0)

    def wait_long() -> None:
        with pool.lent():
            waiting.release()
            go.wait(PATIENCE)

    slow = [pool.submit(wait_long) for _ in range(5)]
    for _ in slow:
        assert waiting.acquire(timeout=PATIENCE)
    assert pool.lent_out == 5
    assert pool.submit(divmod, 7, 2).result(PATIENCE) == (3, 1)
    go.set()
    for future in slow:
        future.result(PATIENCE)
    assert pool.lent_out == 0


def test_the_server_is_told_that_there_is_room() -> None:
    told: list[int] = []
    own = Threads(1, on_lending=lambda: told.append(own.lent_out))

    def wait_shortly() -> None:
        with own.lent():
            pass

    for _ in range(2):
        own.submit(wait_shortly).result(PATIENCE)
    own.shutdown()
    assert told == [1, 1]


def test_stand_ins_go_when_they_are_not_needed_any_more(pool: Threads) -> None:
    def wait_shortly() -> None:
        with pool.lent():
            pass

    for _ in range(20):
        pool.submit(wait_shortly).result(PATIENCE)
    done = threading.Barrier(3)
    both = [pool.submit(done.wait, PATIENCE) for _ in range(2)]
    done.wait(PATIENCE)
    for future in both:
        future.result(PATIENCE)
    waited = threading.Event()
    while [thread for thread in threading.enumerate() if thread in pool._threads][2:]:
        assert not waited.wait(0.01)


def test_a_thread_of_nobodys_is_not_stood_in_for(pool: Threads) -> None:
    with pool.lent():
        assert pool.lent_out == 0


def test_a_system_without_more_threads(pool: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def wait_shortly() -> int:
        with pool.lent():
            return pool.lent_out

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert pool.submit(wait_shortly).result(PATIENCE) == 0


def test_what_was_submitted_is_done_before_the_end() -> None:
    pool = Threads(1)
    futures = [pool.submit(divmod, number, 2) for number in range(50)]
    pool.shutdown()
    assert [future.result(0) for future in futures] == [divmod(number, 2) for number in range(50)]
