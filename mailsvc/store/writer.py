"""Turns to write, and on SQLite the commit that several units share.

To make a commit durable takes longer than all the rest of a unit. So a thread whose unit is done, while another one
waits for its turn, leaves its transaction open to that one, which goes on in it: the last of them commits for all. Each
returns only after the commit that its unit is part of. (Known as group commit.)
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection

SHARED_SECONDS = 0.05
"""How long after its beginning a transaction may be left to another unit: all others wait for it."""

LOOK_SECONDS = 0.005
"""How often a thread that has left its transaction to another looks whether that one gave up before its turn."""


class Undone(Exception):
    """A unit was undone because the transaction that it was part of could not be kept."""

    def __init__(self) -> None:
        super().__init__("what was to be written was undone with what others wrote at the same time")


class Turn:
    """The turn to write, for which the threads of a process queue without asking the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[None] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._queue)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Have it within the block. Raises TimeoutError when it does not come within so many ``seconds``."""
        if not self._lock.acquire(blocking=False) and not self._waited(seconds):
            raise TimeoutError("the database was busy for too long")
        try:
            yield
        finally:
            self._lock.release()

    def _waited(self, seconds: float) -> bool:
        if seconds <= 0:
            return False
        self._queue.append(None)
        try:
            return self._lock.acquire(timeout=seconds)
        finally:
            self._queue.pop()


class _Transaction:
    """A transaction and the number of units it holds.

    ``over`` is there once somebody waits for its end. ``error`` is what has undone it, ``ended_by`` the thread that met
    with that.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver: Any = connection.connection.dbapi_connection
        self.root = connection.begin()
        self.shared_until = time.monotonic() + SHARED_SECONDS
        self.units = 0
        self.over: threading.Event | None = None
        self.error: Exception | None = None
        self.ended_by = 0

    @property
    def is_lost(self) -> bool:
        """Whether it was undone already: SQLite does that for a full or broken disk."""
        return self.connection.invalidated or not self.driver.in_transaction

    @contextmanager
    def unit(self) -> Iterator[Connection]:
        """One more unit. When it raises it alone is undone; the first one leaves that to whoever undoes them all."""
        is_first = not self.units
        if not is_first:
            self.driver.execute("SAVEPOINT unit")
        try:
            yield self.connection
        except BaseException:
            if not is_first and not self.is_lost:
                self.driver.execute("ROLLBACK TO unit")
                self.driver.execute("RELEASE unit")
            raise
        if self.is_lost:
            raise Undone()
        if not is_first:
            self.driver.execute("RELEASE unit")
        self.units += 1

    def discard(self) -> None:
        """Undo it, whatever state it is in, and close its connection."""
        # SQLAlchemy does neither for a transaction that failed at its end, or with a connection that it gave up.
        for last in (self.driver.rollback, self.driver.close, self.connection.close):
            with suppress(Exception):
                last()

    def end(self, error: Exception | None = None) -> None:
        """Tell all who wait for it that it is over."""
        self.error, self.ended_by = error, threading.get_ident()
        if self.over is not None:
            self.over.set()


class Writer:
    """The one connection of this process that writes, and the units on it.

    ``connect`` opens it; ``begin`` takes SQLite's lock on it within so many seconds or raises; ``committed`` is called
    after each commit, while it is nobody else's turn.
    """

    def __init__(
        self,
        turn: Turn,
        connect: Callable[[], Connection],
        begin: Callable[[Connection, float], None],
        committed: Callable[[], None],
    ) -> None:
        self._turn = turn
        self._connect = connect
        self._begin = begin
        self._committed = committed
        self._kept: Connection | None = None
        self._left: _Transaction | None = None

    @contextmanager
    def unit(self, patience: float) -> Iterator[Connection]:
        """A unit that is durable when the block has ended, and undone when it raises.

        Raises TimeoutError, or what ``begin`` raises, when its turn does not come within ``patience`` seconds, the
        driver's errors of the commit, and Undone.
        """
        expires = time.monotonic() + patience
        is_shared = False
        try:
            with self._turn.within(patience):
                transaction = self._transaction(expires)
                is_shared = transaction.units > 0
                try:
                    with transaction.unit() as connection:
                        yield connection
                finally:
                    self._leave(transaction)
        except Exception:
            if is_shared:
                # It may have been refused for what another unit did, which is true only once that is durable.
                self._wait_for(transaction)
            raise
        self._wait_for(transaction)

    def close(self) -> None:
        """Let go of the connection; the next unit opens a new one. Nobody may be writing."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _transaction(self, expires: float) -> _Transaction:
        transaction, self._left = self._left, None
        if transaction is not None:
            return transaction
        connection, self._kept = self._kept or self._connect(), None
        transaction = _Transaction(connection)
        try:
            self._begin(connection, expires - time.monotonic())
        except BaseException:
            self._undo(transaction)
            raise
        return transaction

    def _leave(self, transaction: _Transaction) -> None:
        if transaction.is_lost:
            transaction.discard()
            transaction.end(Undone())
        elif not transaction.units:
            self._undo(transaction)
        elif self._turn.is_wanted and time.monotonic() < transaction.shared_until:
            transaction.over = transaction.over or threading.Event()
            self._left = transaction
        else:
            self._commit(transaction)

    def _commit(self, transaction: _Transaction) -> None:
        try:
            transaction.root.commit()
        except BaseException as error:
            transaction.discard()
            transaction.end(error if isinstance(error, Exception) else Undone())
            if not isinstance(error, Exception):
                raise
        else:
            self._kept = transaction.connection
            transaction.end()
            self._committed()

    def _undo(self, transaction: _Transaction) -> None:
        try:
            transaction.root.rollback()
        finally:
            if transaction.is_lost and not transaction.connection.invalidated:
                self._kept = transaction.connection
            else:
                # Not even that succeeded.
                transaction.discard()

    def _wait_for(self, transaction: _Transaction) -> None:
        while transaction.over is not None and not transaction.over.wait(LOOK_SECONDS):
            with suppress(TimeoutError), self._turn.within(0):
                if self._left is transaction:
                    self._left = None
                    self._commit(transaction)
        if transaction.error is None:
            return
        if transaction.ended_by == threading.get_ident():
            raise transaction.error
        raise Undone() from transaction.error
