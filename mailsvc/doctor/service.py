"""Whether mailsvc itself answers. Mail does not depend on it."""

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException

import config
from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, failed, ok, warning


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=programs.LIMIT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def examine(bind: config.TcpAddress | config.UnixAddress) -> Iterator[Finding]:
    """What it says of itself at ``/readyz``."""
    connection = _connection(bind)
    try:
        connection.request("GET", "/readyz")
        reply = connection.getresponse()
        status, text = reply.status, reply.read(200).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        cause = f"does not answer at {bind} ({error}): mail goes on, but nothing can be changed by HTTP"
        yield warning("service", cause, "systemctl start mailsvc")
        return
    finally:
        connection.close()
    if status == 200:
        yield ok("service", f"ready at {bind}")
    else:
        yield failed("service", f"not ready: {' '.join(text.split())}", "systemctl restart mailsvc")


def _connection(bind: config.TcpAddress | config.UnixAddress) -> HTTPConnection:
    if isinstance(bind, config.UnixAddress):
        return _UnixConnection(str(bind.path))
    # Where it listens on every address, it does on this one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind.host, bind.host)  # noqa: S104
    return HTTPConnection(host, bind.port, timeout=programs.LIMIT)
