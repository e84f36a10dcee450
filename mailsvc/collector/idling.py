"""Sessions that are kept open because their servers will say when there is new mail (IMAP IDLE, RFC 2177)."""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mailsvc.courier.failures import Failure
from mailsvc.courier.imap import ImapSession

log = logging.getLogger("mailsvc.collection")

MOST = 200
"""Sessions kept at once: each costs a connection here and there, and some memory. Others are visited in turn only."""

TURN_SECONDS = 1.0

STILL_SECONDS = 1500.0
"""After so long an account is visited for its session's sake: servers end what is still for half an hour (RFC 2177)."""


@dataclass(slots=True)
class _Kept:
    session: ImapSession
    revision: int
    since: float


class Idling:
    """The sessions, and a thread that listens to all of them.

    ``news`` is called with the number of an account, and must neither raise nor take long.
    """

    def __init__(self, news: Callable[[int], None]) -> None:
        self._news = news
        self._kept: dict[int, _Kept] = {}
        self._guard = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="idling", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def keep(self, account: int, revision: int, session: ImapSession) -> None:
        """Wait for news of ``account`` if its server can do that, somebody listens, and there is room; else log out."""
        if not session.idles or not self._thread.is_alive() or self._ending.is_set() or len(self._kept) >= MOST:
            session.close()
            return
        try:
            arrived = session.idle()
        except Failure:
            session.abandon()
            return
        with self._guard:
            # The visit before this one may have put its session aside only now.
            self._drop(account)
            self._kept[account] = _Kept(session, revision, time.monotonic())
            self._selector.register(session.wire.sock, selectors.EVENT_READ, account)
        if arrived or session.wire.has_more:
            self._look(account)

    def take(self, account: int, revision: int) -> ImapSession | None:
        """The session of ``account``, no longer waiting; None if there is none that works, or for other settings."""
        kept = self._removed(account)
        if kept is None:
            return None
        try:
            if kept.revision == revision:
                kept.session.done()
                return kept.session
        except Failure:
            pass
        kept.session.abandon()
        return None

    def drop_others(self, revisions: dict[int, int]) -> None:
        """Let go of every account that is not among ``revisions``, or has another one there."""
        for account, kept in list(self._kept.items()):
            if revisions.get(account) != kept.revision:
                self._drop(account)

    def end(self) -> None:
        """Let go of all, and stop listening."""
        self._ending.set()
        for account in list(self._kept):
            self._drop(account)
        if self._thread.is_alive():
            self._thread.join(2 * TURN_SECONDS)

    def __len__(self) -> int:
        return len(self._kept)

    def _listen(self) -> None:
        while not self._ending.is_set():
            if not self._kept:
                self._ending.wait(TURN_SECONDS)
                continue
            for key, _ in self._selector.select(TURN_SECONDS):
                self._look(key.data)
            self._stir()

    def _stir(self) -> None:
        for account, kept in list(self._kept.items()):
            if time.monotonic() - kept.since >= STILL_SECONDS:
                kept.since = time.monotonic()
                self._news(account)

    def _look(self, account: int) -> None:
        """Read what the server of ``account`` says."""
        with self._guard:
            kept = self._kept.get(account)
            if kept is None:
                return
            # Nobody else may take the session while it is being read.
            try:
                arrived = kept.session.news()
            except Failure:
                arrived = None
        if arrived is None:
            self._drop(account)
        elif arrived:
            self._news(account)

    def _removed(self, account: int) -> _Kept | None:
        with self._guard:
            kept = self._kept.pop(account, None)
            if kept is not None:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(kept.session.wire.sock)
        return kept

    def _drop(self, account: int) -> None:
        kept = self._removed(account)
        if kept is not None:
            with suppress(OSError):
                kept.session.wire.sock.shutdown(socket.SHUT_RDWR)
            kept.session.abandon()
