"""Connections: a thread for each, since Postfix keeps one per SMTP session and no more than it has processes."""

import logging
import select
import signal
import socket
import threading
import time
from contextlib import suppress

from mailsvc.milter import wire
from mailsvc.milter.session import Judging, Session

log = logging.getLogger("mailsvc.milter")

MOST = 400
"""Connections at a time. Whoever comes then waits in the listener's queue."""

IDLE_SECONDS = 4 * 3600
"""Postfix is silent here while a client sends a long message over a slow line; who is silent for longer is gone."""

GRACE_SECONDS = 10.0
"""For the messages under way, when asked to end. After that Postfix answers 451 and their senders come again."""


class Server:
    """Serves ``listener`` until ``stop`` is called or a signal asks it to end."""

    def __init__(self, listener: socket.socket, judge: Judging) -> None:
        self._listener = listener
        self._judge = judge
        self._free = threading.BoundedSemaphore(MOST)
        self._lock = threading.Lock()
        self._sessions: dict[socket.socket, Session] = {}
        self._wake, self._woken = socket.socketpair()
        self._is_stopping = False

    def run(self) -> None:
        """Serve; returns when every connection is closed, or the grace time is over."""
        try:
            while self._has_place() and self._is_called():
                self._accept()
        finally:
            self._listener.close()
            self._end()
            self._wake.close()
            self._woken.close()

    def stop(self, *_: object) -> None:
        """Take no more connections, and end politely. Also a handler of signals."""
        self._is_stopping = True
        with suppress(OSError):  # it has ended already
            self._wake.send(b"!")

    def stop_on_signals(self) -> None:
        """Let SIGTERM and SIGINT end it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def _has_place(self) -> bool:
        """Wait until one more connection may be taken; False when it is time to end."""
        while not self._free.acquire(timeout=0.5):
            if self._is_stopping:
                return False
        return True

    def _is_called(self) -> bool:
        """Wait for the next connection; False when it is time to end."""
        readable, _, _ = select.select([self._listener, self._woken], [], [])
        return self._woken not in readable

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            # Gone again already, or too many files are open: neither ends the service.
            self._free.release()
            log.warning("cannot accept a connection: %s", error.strerror)
            time.sleep(0.05)
            return
        session = Session(connection, self._judge)
        with self._lock:
            self._sessions[connection] = session
        threading.Thread(target=self._serve, args=(connection, session), daemon=True).start()

    def _serve(self, connection: socket.socket, session: Session) -> None:
        try:
            connection.settimeout(IDLE_SECONDS)
            session.run()
        except (wire.ProtocolError, OSError) as error:
            if not self._is_stopping:
                log.warning("lost a connection: %s", error)
        except Exception as error:
            log.error("unexpected failure", exc_info=error)
        finally:
            with self._lock:
                self._sessions.pop(connection, None)
            connection.close()
            self._free.release()

    def _end(self) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        while self._sessions and time.monotonic() < deadline:
            with self._lock:
                for connection, session in self._sessions.items():
                    if session.is_idle:
                        with suppress(OSError):
                            connection.shutdown(socket.SHUT_RD)
            time.sleep(0.02)
