"""A wire between a service and a name server that can be cut in the middle of an update."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.servers.knot import NameServer
from tests.service.running import LIMIT


@dataclass
class Relay:
    """Hands DNS messages on by TCP, but no answer that comes while ``withholds`` is true."""

    listener: socket.socket
    behind: NameServer
    withholds: Callable[[], bool] = lambda: False

    @property
    def address(self) -> str:
        """HOST:PORT of this end."""
        host, port = self.listener.getsockname()
        return f"{host}:{port}"

    def serve(self) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                threading.Thread(target=self._hand_on, args=[self.listener.accept()[0]], daemon=True).start()

    def _hand_on(self, client: socket.socket) -> None:
        with client, socket.create_connection((self.behind.host, self.behind.port), LIMIT) as server, suppress(OSError):
            while message := _message(client):
                server.sendall(message)
                answer = _message(server)
                if not self.withholds():
                    client.sendall(answer)


def _message(connection: socket.socket) -> bytes:
    """One message with its length before it, or nothing at the end."""
    head = connection.recv(2, socket.MSG_WAITALL)
    return head + connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if len(head) == 2 else b""


@contextmanager
def relay(behind: NameServer) -> Iterator[Relay]:
    """A relay before ``behind``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Relay(listener, behind)
        thread = threading.Thread(target=wire.serve)
        thread.start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
