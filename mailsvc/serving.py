"""gunicorn's threaded worker and its log, made discreet."""

import errno
import socket
import time
from typing import Any

from flask import Flask
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

import config
from mailsvc.core.acts import USER, PanelUser
from mailsvc.core.texts import cleaned
from mailsvc.observation import logs
from mailsvc.services import forwards, mailboxes, sign_in, throttle
from mailsvc.services.ports import Ports
from mailsvc.store import files


class Log(Logger):
    """gunicorn's own messages, in the form of all other log lines."""

    def setup(self, cfg: Any) -> None:
        """Once at the start, and at every reload."""
        super().setup(cfg)
        logs.set_up(config.load().log_format)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def warm_up(app: Flask) -> None:
    """Do once in the master what every request does, and leave no trace of it.

    What the first requests make (compiled statements, tables of the libraries) is then shared by all workers instead of
    being made in each: docs/performance.md has the figures. Only reads; every connection is closed again before the
    workers are forked.
    """
    ports: Ports = app.extensions["mailsvc"]
    nobody = PanelUser(0, "nobody", USER)
    try:
        sign_in.look_up(ports, "nobody", throttle.pair_of("nobody", ""))
        ports.remembered.knows(ports.passwords.of_nobody, "")
        with ports.passwords.checking() as matches:
            matches(ports.passwords.of_nobody, "")
        mailboxes.listed(ports, nobody)
        forwards.listed(ports, nobody)
    finally:
        ports.store.close()
        if ports.settings.database_file is not None:
            files.make_readable(ports.settings.database_file)


RECEIVE_SECONDS = 30.0
"""How long one request may take to arrive. A thread waits for it, and there are few."""

SILENCE_SECONDS = 3.0
"""How long a client may be silent in the middle of a request."""


class Impatient:
    """A client\'s socket that does not wait for ever for a request to arrive, or for its answer to be taken."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = 0.0
        self._given_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def setblocking(self, blocking: bool) -> None:
        """Before each request gunicorn makes the socket blocking: then the time begins."""
        self._sock.setblocking(blocking)
        self._deadline = time.monotonic() + RECEIVE_SECONDS

    def recv(self, size: int) -> bytes:
        """Nothing, as if the client had gone, when the time is up."""
        if self._sock.gettimeout() != 0.0:
            left = self._deadline - time.monotonic()
            self._wait_at_most(SILENCE_SECONDS if left > SILENCE_SECONDS else max(0.001, left))
        try:
            return self._sock.recv(size)
        except TimeoutError:
            self._given_up = True
            return b""

    def shutdown(self, how: int) -> None:
        """Raises OSError for a client that was given up: gunicorn would linger for it, and accept nobody meanwhile."""
        if self._given_up:
            raise OSError(errno.ENOTCONN, "given up")
        self._sock.shutdown(how)

    def sendall(self, data: bytes) -> None:
        """Raises BrokenPipeError when the client does not take it."""
        self._wait_at_most(RECEIVE_SECONDS)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise BrokenPipeError(errno.EPIPE, "the client does not take the answer") from None

    def _wait_at_most(self, seconds: float) -> None:
        # Only when it is another: each setting is a call of the system's, with the interpreter's lock let go.
        if self._sock.gettimeout() != seconds:
            self._sock.settimeout(seconds)


YIELD_SECONDS = 0.002
"""How long a process that is full leaves a new connection to the others."""


class Worker(ThreadWorker):
    """As gunicorn's, but impatient, discreet, and considerate of the other processes.

    What it could not read is neither logged nor sent back: a request line can hold a password. While all its threads
    are at work it lets the other processes go first at every new connection: gunicorn's takes whatever comes, and with
    kept connections one process may then do all the work while the others have none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way = 0
        self._yielding_until: float | None = None

    @property
    def _full(self) -> bool:
        return bool(self._under_way >= self.cfg.threads)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Before every turn of the loop."""
        yields = self._yielding_until is not None and self._full and time.monotonic() < self._yielding_until
        super().set_accept_enabled(enabled and not yields)

    def accept(self, listener: socket.socket) -> None:
        """A connection waits for somebody to take it."""
        if self._full and self._yielding_until is None:
            self._yielding_until = time.monotonic() + YIELD_SECONDS
            self.set_accept_enabled(True)
        else:
            self._yielding_until = None
            super().accept(listener)

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection to a thread."""
        if not isinstance(conn.sock, Impatient):
            conn.sock = Impatient(conn.sock)
        self._under_way += 1
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """A thread is free again."""
        self._under_way -= 1
        super().finish_request(conn, fs)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never became one."""
        status, reason = _status_of(exc)
        address = cleaned(str(addr[0]), 64) if addr else "unix"
        if status == 500:
            self.log.error("a request from %s failed in the server", address, exc_info=exc)
        else:
            self.log.warning("refused a malformed request from %s: %s", address, type(exc).__name__)
        try:
            util.write_error(client, status, reason, "")
        except OSError:
            self.log.debug("the client of a refused request was gone")


def _status_of(error: BaseException) -> tuple[int, str]:
    if isinstance(error, LimitRequestLine):
        return 414, "URI Too Long"
    if isinstance(error, LimitRequestHeaders):
        return 431, "Request Header Fields Too Large"
    if isinstance(error, ParseException):
        return 400, "Bad Request"
    return 500, "Internal Server Error"
