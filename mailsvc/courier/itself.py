"""Telling whether a server is this very machine."""

import socket

from mailsvc.courier.targets import Address


def is_this_machine(address: Address) -> bool:
    """Whether ``address`` is one of this machine's own: only such a one can be bound to."""
    with socket.socket(address.family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address.sockaddr[0], 0, *address.sockaddr[2:]))
        except OSError:
            return False
    return True
