"""The worker's one loop: it claims accounts whose visit is due, and gives each to a thread."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import config
from config import Delivery, UnixAddress
from mailsvc.collector.idling import Idling
from mailsvc.courier.handover import Handover
from mailsvc.courier.imap import ImapSession
from mailsvc.services import collection, leases
from mailsvc.services.collection import Visitor
from mailsvc.services.ports import Ports
from mailsvc.store.types import now

log = logging.getLogger("mailsvc.collection")

AT_ONCE = 10
"""Accounts that are visited at the same time."""

TURN_SECONDS = 1.0
"""How often it is looked whether a visit is due."""

CARE_SECONDS = 15.0
"""How often leases are renewed, those of dead workers released, and sessions of changed accounts dropped."""

GRACE_SECONDS = 20.0
"""How long visits under way may take to end with the message they are at."""


class Worker:
    """Visits accounts until it is told to stop."""

    def __init__(self, ports: Ports, delivery: Delivery, *, clock: Callable[[], datetime] = now) -> None:
        self._ports = ports
        self._holder = leases.new_holder()
        self._clock = clock
        self._stop = threading.Event()
        self._woken = threading.Event()
        # An account is there twice while the session of its last visit is still being put aside.
        self._under_way: list[int] = []
        self._told: set[int] = set()
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._visitor = Visitor(ports, self._holder, _opener(ports.settings, delivery), clock, self._stop.is_set)
        self._idling = Idling(self._news)
        self._threads: list[threading.Thread] = []
        self._cared = -CARE_SECONDS

    def stop(self, *_: object) -> None:
        """End soon: with the messages that are being handed in."""
        self._stop.set()
        self._woken.set()

    def run(self, still_wanted: Callable[[], bool] = lambda: True) -> None:
        """Visit accounts whenever they are due, until ``stop``, or ``still_wanted`` says no."""
        self._idling.start()
        try:
            while not self._stop.is_set() and still_wanted():
                self._look()
                self._pause()
        finally:
            self._end()

    def run_once(self) -> Sequence[int]:
        """Visit each enabled account once; gives their numbers."""
        visited: list[int] = []
        try:
            while not self._stop.is_set():
                self._care()
                rows = self._next(visited[-1] if visited else 0)
                visited += [row.id for row in rows]
                self._begin(rows)
                if not rows and not self._under_way:
                    break
                self._pause()
        finally:
            self._end()
        return visited

    def _look(self) -> None:
        try:
            self._care()
            self._pass_on()
            self._begin(self._due())
        except Exception:
            # The database may be locked, or away, for longer than anybody waits. The sessions that are kept still work.
            log.exception("could not find out which visits are due; asks again")

    def _due(self) -> Sequence[Any]:
        room = AT_ONCE - len(self._under_way)
        return leases.due(self._ports, self._holder, moment=self._clock(), most=room) if room > 0 else []

    def _next(self, after: int) -> Sequence[Any]:
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return []
        return leases.next_after(self._ports, self._holder, moment=self._clock(), after=after, most=room)

    def _begin(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self._under_way.append(row.id)
            self._waiting.put(row)
        while len(self._threads) < min(AT_ONCE, len(self._under_way)):
            thread = threading.Thread(target=self._work, name=f"visits-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (row := self._waiting.get()) is not None:
            try:
                session = self._visitor.visit(row, self._idling.take(row.id, row.revision))
                if isinstance(session, ImapSession):
                    if self._stop.is_set():
                        session.close()
                    else:
                        self._idling.keep(row.id, row.revision, session)
            except Exception:
                log.exception("a visit of account %s was cut short", row.id)
            finally:
                self._under_way.remove(row.id)
                self._woken.set()

    def _news(self, account: int) -> None:
        # Nothing here that can fail: it would be the end of listening.
        self._told.add(account)
        self._woken.set()

    def _pass_on(self) -> None:
        while self._told:
            account = self._told.pop()
            try:
                collection.wake(self._ports, account, self._clock())
            except BaseException:
                self._told.add(account)
                raise

    def _pause(self) -> None:
        self._woken.wait(TURN_SECONDS)
        self._woken.clear()

    def _care(self) -> None:
        if time.monotonic() - self._cared < CARE_SECONDS:
            return
        self._cared = time.monotonic()
        leases.release_of_the_dead(self._ports)
        # Not what we hold because the end of a visit could not be put on record.
        leases.renew(self._ports, self._holder, list(self._under_way), moment=self._clock())
        if len(self._idling):
            self._idling.drop_others(collection.revisions(self._ports))

    def _end(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._waiting.put(None)
        deadline = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._idling.end()


def _opener(settings: config.Settings, delivery: Delivery) -> Callable[[], Handover]:
    address: tuple[str, int] | Path
    if isinstance(delivery.address, UnixAddress):
        address = delivery.address.path
    else:
        address = (delivery.address.host, delivery.address.port)
    return lambda: Handover(delivery.protocol, address, name=settings.hostname)
