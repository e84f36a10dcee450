"""gunicorn's threaded worker and its log, made discreet."""

import errno
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

import config
from mailsvc.core.texts import cleaned
from mailsvc.observation import logs
from mailsvc.observation.requests import SAFE_HEADERS
from mailsvc.services.ports import Ports


class Log(Logger):
    """gunicorn's own messages, in the form of all other log lines."""

    def setup(self, cfg: Any) -> None:
        """Once at the start, and at every reload."""
        super().setup(cfg)
        logs.set_up(config.load().log_format)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


RECEIVE_SECONDS = 30.0
"""How long one request may take to arrive. A thread waits for it, and there are few."""

SILENCE_SECONDS = 3.0
"""How long a client may be silent in the middle of a request."""


class Impatient:
    """A client's socket that does not wait for ever for a request to arrive, or for its answer to be taken.

    The system's socket never waits at all. Whoever wants to wait asks for it here, which costs a call of the system's
    only when there is something to wait for: each such call lets go of the interpreter's lock, and under load another
    thread takes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._patience: float | None = 0.0
        self._deadline = 0.0
        self._given_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def setblocking(self, blocking: bool) -> None:
        """Before each request gunicorn makes the socket blocking: then the time begins."""
        self._patience = None if blocking else 0.0
        self._deadline = time.monotonic() + RECEIVE_SECONDS

    def settimeout(self, seconds: float | None) -> None:
        """How long to wait for anything to arrive, if that is shorter than SILENCE_SECONDS."""
        self._patience = seconds

    def gettimeout(self) -> float | None:
        """As it was set."""
        return self._patience

    def recv(self, size: int) -> bytes:
        """What has arrived; nothing, as if the client had gone, when the time is up."""
        while True:
            try:
                return self._sock.recv(size)
            except BlockingIOError:
                if self._patience == 0.0:
                    raise
            left = max(0.001, self._deadline - time.monotonic())
            if not self._wait(select.POLLIN, min(SILENCE_SECONDS, left, self._patience or SILENCE_SECONDS)):
                self._given_up = True
                return b""

    def shutdown(self, how: int) -> None:
        """Raises OSError for a client that was given up: gunicorn would linger for it, and accept nobody meanwhile."""
        if self._given_up:
            raise OSError(errno.ENOTCONN, "given up")
        self._sock.shutdown(how)

    def send(self, data: bytes) -> int:
        """As sendall."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Raises BrokenPipeError when the client does not take it."""
        left = memoryview(data)
        deadline = time.monotonic() + RECEIVE_SECONDS
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                if not self._wait(select.POLLOUT, deadline - time.monotonic()):
                    raise BrokenPipeError(errno.EPIPE, "the client does not take the answer") from None

    def _wait(self, event: int, seconds: float) -> bool:
        """Whether the socket is ready for ``event``, or broken, within ``seconds``."""
        waiting = select.poll()
        waiting.register(self._sock, event)
        return bool(waiting.poll(max(0.0, seconds) * 1000))


_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def hold_end_back() -> None:
    """Let a signal to end wait, from before a worker is forked.

    Until it has handlers of its own a worker has gunicorn's master's, which would only note the signal and go on: the
    master then waited for it until its patience ended, and killed it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def let_end() -> None:
    """Take what was held back, and whatever comes."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


class Threads(Executor):
    """A fixed number of threads that handle requests, and stand-ins for those that wait for a foreign server.

    ``on_lending`` is called whenever a stand-in begins: there is room for a request again.

    The standard library's pool has a fixed size: a few requests that each wait for a minute would hold it whole.
    """

    def __init__(self, number: int, on_lending: Callable[[], None] = lambda: None) -> None:
        self._on_lending = on_lending
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._surplus = 0
        self._ended = False
        self.lent_out = 0
        for _ in range(number):
            self._start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have ``fn`` called by the next thread that is free."""
        future: Future[Any] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._work.put(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End every thread when what was submitted is done."""
        with self._lock:
            self._ended = True
            threads = list(self._threads)
        for _ in threads:
            self._work.put(None)
        if wait:
            for thread in threads:
                thread.join()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The calling thread waits for long: another does its work meanwhile, and afterwards one of them ends."""
        stands_in = self._stand_in()
        try:
            yield
        finally:
            if stands_in:
                with self._lock:
                    self.lent_out -= 1
                    self._surplus += 1

    def _stand_in(self) -> bool:
        with self._lock:
            if self._ended or threading.current_thread() not in self._threads:
                return False
        try:
            self._start()
        except RuntimeError:
            # The system has no more threads: then one fewer is at work.
            return False
        with self._lock:
            self.lent_out += 1
        self._on_lending()
        return True

    def _start(self) -> None:
        # As a daemon: a process that was told to end does not wait for foreign servers.
        thread = threading.Thread(target=self._run, name="requests", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._threads.discard(thread)
            raise

    def _run(self) -> None:
        try:
            while (call := self._work.get()) is not None:
                call()
                # Nothing of the request stays while the next is waited for.
                del call
                if self._surplus and self._is_surplus():
                    return
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _is_surplus(self) -> bool:
        with self._lock:
            if self._surplus and not self._ended:
                self._surplus -= 1
                return True
            return False


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

    def init_signals(self) -> None:
        """In the new process, which can end in good order from here on."""
        super().init_signals()
        let_end()

    @property
    def _full(self) -> bool:
        return bool(self._under_way - self.tpool.lent_out >= self.cfg.threads)

    def get_thread_pool(self) -> Threads:
        """The threads that handle requests."""
        # The loop would sleep on until a request ends, for a second at most.
        return Threads(self.cfg.threads, on_lending=lambda: self.method_queue.defer(lambda: None))

    def load_wsgi(self) -> None:
        """Let whoever waits for a foreign server wait beside the threads."""
        super().load_wsgi()
        ports: Ports | None = self.wsgi.extensions.get("mailsvc")
        # What the benchmarks compare with is served by this worker too, and calls nobody.
        if ports is not None:
            ports.outgoing.lent = self.tpool.lent

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
            client.sendall(_plain(status, reason))
        except OSError:
            self.log.debug("the client of a refused request was gone")


def _plain(status: int, reason: str) -> bytes:
    """A whole answer in plain text: whose wire it would have been is not known."""
    body = f"{status} {reason}\n"
    lines = (
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in SAFE_HEADERS),
    )
    return "\r\n".join((*lines, "", body)).encode("ascii")


def _status_of(error: BaseException) -> tuple[int, str]:
    if isinstance(error, LimitRequestLine):
        return 414, "URI Too Long"
    if isinstance(error, LimitRequestHeaders):
        return 431, "Request Header Fields Too Large"
    if isinstance(error, ParseException):
        return 400, "Bad Request"
    return 500, "Internal Server Error"
