"""Whom the service may connect to.

A name is resolved once, its addresses are checked, and a checked address itself is dialled: a DNS answer that changes
in between cannot lead anywhere else.
"""

import socket
import threading
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import NamedTuple

Network = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address

_MAPPED = (ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"))
"""IPv6 networks whose last 32 bits are an IPv4 address (RFC 4291, section 2.5.5.2; RFC 6052)."""


HOST_CHARACTERS = 255
"""More are no name and no address, and Python takes seconds to look at a long text, which nobody else can use."""

LOOKUPS = 64
"""Look-ups at once. One that was given up counts until the system's resolver is done with it, which may take half a
minute: else whoever gives up soon could leave threads behind without number.
"""


class Denied(Exception):
    """Every address of the name lies in a network that the service never connects to."""


class Address(NamedTuple):
    """One checked address to dial. ``shown`` is what a text calls it: ``127.0.0.1:25`` or ``[::1]:25``."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def shown(self) -> str:
        host, port = self.sockaddr[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Targets:
    """The way out of the service, past the networks in ``deny``."""

    def __init__(self, deny: Sequence[Network]) -> None:
        self._deny = tuple(deny)
        self._lookups = threading.BoundedSemaphore(LOOKUPS)

    def resolve(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """The addresses of ``host`` that may be dialled, in the resolver's order.

        Raises socket.gaierror for a name without address, TimeoutError when the resolver takes longer than ``seconds``,
        Denied when no address is left.
        """
        looked_up = _looked_up(host, port, seconds, self._lookups)
        found = [Address(family, sockaddr) for family, sockaddr in looked_up]
        allowed = [address for address in found if not self.is_denied(address.sockaddr[0])]
        if not allowed:
            raise Denied(host)
        return allowed

    def connect(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection to the first address of ``host`` that answers, all within ``seconds``.

        The socket keeps ``seconds`` as its time limit. Raises what resolve raises, and of the last address dialled
        TimeoutError or OSError with its ``filename`` set to the address.
        """
        deadline = time.monotonic() + seconds
        failure: OSError = OSError("no address")
        addresses = self.resolve(host, port, seconds)
        for position, address in enumerate(addresses):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"connecting to {address.shown} took too long")
            sock = socket.socket(address.family, socket.SOCK_STREAM)
            try:
                # An address that does not answer leaves time for those behind it.
                sock.settimeout(left / (len(addresses) - position))
                sock.connect(address.sockaddr)
            except OSError as error:
                sock.close()
                error.filename = address.shown
                failure = error
            else:
                sock.settimeout(seconds)
                return sock
        raise failure

    def is_denied(self, address: str) -> bool:
        """Whether ``address`` (numeric; a zone is ignored) must not be connected to."""
        numeric = unwrapped(ip_address(address.partition("%")[0]))
        return any(numeric in network for network in self._deny)


def unwrapped(address: IpAddress) -> IpAddress:
    """The IPv4 address within an IPv4-mapped or NAT64 one, else ``address``."""
    if isinstance(address, IPv6Address) and any(address in network for network in _MAPPED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _looked_up(
    host: str, port: int, seconds: float, lookups: threading.BoundedSemaphore
) -> list[tuple[int, tuple[str, int] | tuple[str, int, int, int]]]:
    if len(host) > HOST_CHARACTERS:
        raise _unknown()
    # The system's resolver takes no time limit, so it is asked from a thread that may be left behind.
    answer: SimpleQueue[list[tuple[int, tuple[str, int]]] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            answer.put([(int(family), sockaddr) for family, _, _, _, sockaddr in found])  # type: ignore[misc]
        except ValueError:
            # Not even a name: what IDNA does not know, or a NUL.
            answer.put(_unknown())
        except Exception as error:
            answer.put(error)
        finally:
            lookups.release()

    expires = time.monotonic() + seconds
    if not lookups.acquire(timeout=seconds):
        raise TimeoutError(f"too much is being looked up, {host} has to wait")
    try:
        threading.Thread(target=ask, name="resolver", daemon=True).start()
    except RuntimeError:
        lookups.release()
        raise
    try:
        result = answer.get(timeout=max(0.0, expires - time.monotonic()))
    except Empty:
        raise TimeoutError(f"looking up {host} took too long") from None
    if isinstance(result, Exception):
        raise result
    return list(result)


def _unknown() -> socket.gaierror:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")
