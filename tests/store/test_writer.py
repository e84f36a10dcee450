"""One commit for several units: each is kept or undone by itself, and none is acknowledged before it is durable."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from mailsvc.services.ports import Ports
from mailsvc.store import Store
from mailsvc.store.writer import Turn, Undone
from tests.service.running import wait_until
from tests.store.units import note, noted

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

LIMIT = 30.0
"""Seconds after which something that was to happen has not."""


@pytest.fixture
def store(ports: Ports) -> Store:
    """A store that writes."""
    return ports.store


@pytest.fixture
def commits(store: Store) -> Iterator[list[Connection]]:
    """One entry for each commit."""
    seen: list[Connection] = []
    listener = seen.append
    event.listen(store.engine, "commit", listener)
    yield seen
    event.remove(store.engine, "commit", listener)


Unit = Callable[[Connection], object]


class Held:
    """A unit that does what ``unit`` does once it may ``go`` on."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.begun = threading.Event()
        self.go = threading.Event()

    def write(self, connection: Connection) -> None:
        """Be the unit."""
        self.begun.set()
        assert self.go.wait(LIMIT)
        self._unit(connection)


class Writers:
    """Threads that write one unit each, in the order in which they were told to."""

    def __init__(self, store: Store, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._pool = pool
        self._waiting = 0
        self._first: Held | None = None
        self.units: list[Future[None]] = []

    def begin(self, unit: Unit) -> None:
        """Let a unit begin, and go on only after ``go``: all others queue behind it."""
        self._first = Held(unit)
        self.units.append(self._pool.submit(self._write, self._first.write))
        assert self._first.begun.wait(LIMIT)

    def queue(self, unit: Unit) -> None:
        """Let a unit wait for its turn."""
        self.units.append(self._pool.submit(self._write, unit))
        self._waiting += 1
        wait_until(lambda: len(self._store._turn._queue) == self._waiting, "a thread to queue")

    def go(self) -> None:
        """Let the first one go on."""
        if self._first is not None:
            self._first.go.set()

    def _write(self, unit: Unit) -> None:
        with self._store.writing(LIMIT) as connection:
            unit(connection)


@contextmanager
def writers(store: Store) -> Iterator[Writers]:
    """Threads that write; all have ended when the block has."""
    with ThreadPoolExecutor(8) as pool:
        all_of_them = Writers(store, pool)
        try:
            yield all_of_them
        finally:
            all_of_them.go()


def writes(text: str) -> Unit:
    return lambda connection: note(connection, text)


def test_units_that_wait_for_their_turn_are_kept_by_one_commit(store: Store, commits: list[Connection]) -> None:
    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(writes("second"))
        threads.queue(writes("third"))
        threads.go()
        for unit in threads.units:
            unit.result(LIMIT)
    assert noted(store) == ["first", "second", "third"]
    assert len(commits) == 1


def test_units_that_fail_cannot_put_off_the_commit_for_ever(store: Store) -> None:
    def fail_until(done: Future[None]) -> None:
        while not done.done():
            with suppress(ZeroDivisionError), store.writing(LIMIT):
                raise ZeroDivisionError

    with writers(store) as threads:
        threads.begin(writes("kept"))
        first = threads.units[0]
        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(fail_until, first)
            threads.go()
            first.result(LIMIT)
    assert noted(store) == ["kept"]


def test_nobody_returns_before_the_commit(store: Store) -> None:
    last = Held(writes("last"))
    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(last.write)
        threads.go()
        assert last.begun.wait(LIMIT)
        first = threads.units[0]
        # Not even when it has looked more than once whether it should commit itself.
        with pytest.raises(TimeoutError):
            first.result(0.1)
        assert noted(store) == []
        last.go.set()
        first.result(LIMIT)
        assert noted(store) == ["first", "last"]


def test_what_a_unit_was_refused_for_is_durable_before_it_is_told(store: Store) -> None:
    last = Held(writes("last"))
    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(refused)
        threads.queue(last.write)
        threads.go()
        assert last.begun.wait(LIMIT)
        with pytest.raises(TimeoutError):
            threads.units[1].result(0.1)
        last.go.set()
        with pytest.raises(ZeroDivisionError):
            threads.units[1].result(LIMIT)
    assert noted(store) == ["first", "last"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_unit_that_raises_is_undone_and_the_others_are_not(store: Store, place: int) -> None:
    def fails(connection: Connection) -> None:
        note(connection, "undone")
        raise ZeroDivisionError

    units = [writes("a"), writes("b")]
    units.insert(place, fails)
    with writers(store) as threads:
        threads.begin(units[0])
        threads.queue(units[1])
        threads.queue(units[2])
        threads.go()
        with pytest.raises(ZeroDivisionError):
            threads.units.pop(place).result(LIMIT)
        for unit in threads.units:
            unit.result(LIMIT)
    assert noted(store) == ["a", "b"]


def refused(_connection: Connection) -> None:
    raise ZeroDivisionError


def orphans(connection: Connection) -> None:
    """What is refused at the commit, with a result that was not read to its end."""
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    connection.exec_driver_sql("UPDATE domain SET owner_id = 99")
    next(iter(connection.exec_driver_sql("SELECT 1 UNION SELECT 2")))


def test_a_commit_that_fails_fails_for_all(store: Store) -> None:
    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(refused)
        threads.queue(orphans)
        threads.go()
        for unit, error in zip(threads.units, (Undone, Undone, IntegrityError), strict=True):
            with pytest.raises(error):
                unit.result(LIMIT)
    assert noted(store) == []
    with store.writing() as connection:
        note(connection, "afterwards")
    assert noted(store) == ["afterwards"]


@pytest.mark.parametrize("raises", [True, False])
def test_who_was_undone_with_another_is_told(store: Store, raises: bool) -> None:
    """SQLite undoes the whole transaction for a full or broken disk."""

    def undoes(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        if raises:
            raise ZeroDivisionError

    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(undoes)
        threads.go()
        for unit in threads.units:
            with pytest.raises(Undone):
                unit.result(LIMIT)
    assert noted(store) == []
    with store.writing() as connection:
        note(connection, "afterwards")
    assert noted(store) == ["afterwards"]


def test_who_shares_with_a_thread_that_exits_in_the_midst_is_told(store: Store) -> None:
    """SQLAlchemy gives up a connection on which a statement did not come to its end."""

    def exits(connection: Connection) -> None:
        connection.invalidate()
        raise SystemExit

    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(exits)
        threads.go()
        for unit, error in zip(threads.units, (Undone, SystemExit), strict=True):
            with pytest.raises(error):
                unit.result(LIMIT)
    with store.writing() as connection:
        note(connection, "afterwards")
    assert noted(store) == ["afterwards"]


def test_who_shares_with_a_thread_that_exits_at_the_commit_is_told(store: Store) -> None:
    def exits(_connection: Connection) -> None:
        raise SystemExit

    event.listen(store.engine, "commit", exits)
    with writers(store) as threads:
        threads.begin(writes("first"))
        threads.queue(writes("second"))
        threads.go()
        for unit, error in zip(threads.units, (Undone, SystemExit), strict=True):
            with pytest.raises(error):
                unit.result(LIMIT)
    event.remove(store.engine, "commit", exits)
    with store.writing() as connection:
        note(connection, "afterwards")
    assert noted(store) == ["afterwards"]


def test_a_unit_that_undid_itself_is_not_acknowledged(store: Store) -> None:
    with pytest.raises(Undone), store.writing() as connection:
        note(connection, "undone")
        connection.exec_driver_sql("ROLLBACK")
    assert noted(store) == []


def test_a_unit_left_to_somebody_who_gave_up_is_kept_all_the_same(
    store: Store, commits: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turn, "is_wanted", True)
    with suppress(ZeroDivisionError), store.writing():
        raise ZeroDivisionError
    with store.writing() as connection:
        note(connection, "kept")
    assert noted(store) == ["kept"]
    assert len(commits) == 1
