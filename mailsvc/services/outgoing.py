"""Conversations with foreign servers that a request waits for: bounded, and never at the cost of the other requests.

A foreign server may take a minute to say nothing. Whoever talks to one does so within ``turn()``: while it lasts,
another thread takes the place of the one that waits (where the server in front has threads to lend), and no more than
AT_ONCE last at once in each process.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from mailsvc.core.refusals import TooBusy
from mailsvc.courier import smtp
from mailsvc.courier.smtp import Delivery, Message, Route, Step
from mailsvc.courier.targets import Targets

AT_ONCE = 16
"""Conversations of one process. Measured: docs/performance.md."""


class Outgoing:
    """The way out to foreign mail servers, and to name servers.

    ``lent`` is what the calling thread waits within: a server of requests puts its own in place
    (mailsvc.serving.Threads).
    """

    def __init__(self, targets: Targets, at_once: int = AT_ONCE) -> None:
        self.targets = targets
        self.lent: Callable[[], AbstractContextManager[None]] = nullcontext
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold this around every conversation with a foreign server, and around nothing else.

        Raises TooBusy, at once, when as many as there may be are under way.
        """
        if not self._free.acquire(blocking=False):
            raise TooBusy()
        try:
            with self.lent():
                yield
        finally:
            self._free.release()

    def send(self, route: Route, message: Message, progress: Callable[[Step], None] = lambda _: None) -> Delivery:
        """As courier.smtp.send, in turn. Raises courier.smtp.SendFailed, TooBusy."""
        with self.turn():
            return smtp.send(self.targets, route, message, progress)
