"""Listening where a setting says."""

import os
import socket
import stat

from config import TcpAddress, UnixAddress
from mailsvc.startup import CannotStart

BACKLOG = 2048


def listen(bind: TcpAddress | UnixAddress) -> socket.socket:
    """A listening socket; that of a Unix address is open to its group. Raises CannotStart."""
    try:
        return _listen_tcp(bind) if isinstance(bind, TcpAddress) else _listen_unix(bind)
    except OSError as error:
        raise CannotStart(f"cannot listen on {bind}: {error.strerror or error}") from None


def _listen_tcp(bind: TcpAddress) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # `::` is every address of the machine, those of IPv4 too.
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)


def _listen_unix(bind: UnixAddress) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    path = str(bind.path)
    if _is_abandoned(path):
        os.unlink(path)  # noqa: PTH108 - a socket, not a file to read
    listener.bind(path)
    os.chmod(path, 0o660)  # noqa: PTH101 - the group of whoever is to talk to it connects
    listener.listen(BACKLOG)
    return listener


def _is_abandoned(path: str) -> bool:
    """Whether ``path`` is a socket that nobody listens on any more."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - see above
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) != 0
