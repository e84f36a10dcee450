"""What others see: look-ups through a resolver, as any mail server on the Internet makes them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import config

if TYPE_CHECKING:
    import dns.resolver

SECONDS = 5.0
"""How long one look-up may take in all."""


class NoAnswer(Exception):
    """The question could not be answered: not the same as an answer that there is nothing. One clear line."""


class Resolver:
    """Asks the given resolver, or the system's. An answer that there is nothing is an empty list; everything else that
    is no answer raises NoAnswer."""

    def __init__(self, server: config.TcpAddress | None) -> None:
        """``server`` None is the system's resolver."""
        self._server = server

    def txt(self, name: str) -> list[str]:
        """The TXT records of ``name``, each in one piece, in alphabetical order."""
        return sorted(b"".join(rdata.strings).decode("ascii", "replace") for rdata in self._ask(name, "TXT"))

    def mx(self, name: str) -> list[tuple[int, str]]:
        """Preference and host of every MX record, the preferred one first; a null MX (RFC 7505) has the host ``""``."""
        return sorted((int(rdata.preference), _host(rdata.exchange)) for rdata in self._ask(name, "MX"))

    def addresses(self, host: str) -> list[str]:
        """The IPv4 and then the IPv6 addresses of ``host``."""
        return [str(rdata.address) for kind in ("A", "AAAA") for rdata in self._ask(host, kind)]

    def names_of(self, address: str) -> list[str]:
        """The names that the reverse zone gives an address (PTR)."""
        import dns.reversename

        return sorted(_host(rdata.target) for rdata in self._ask(dns.reversename.from_address(address), "PTR"))

    def _ask(self, name: Any, kind: str) -> Sequence[Any]:
        import dns.exception
        import dns.resolver

        try:
            return list(self._resolver().resolve(name, kind, search=False, lifetime=SECONDS))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.Timeout:
            raise NoAnswer(f"the resolver did not answer in time for {kind} of {name}") from None
        except dns.resolver.NoNameservers:
            raise NoAnswer(f"the resolver has no answer for {kind} of {name}") from None
        except (dns.exception.DNSException, OSError) as error:
            raise NoAnswer(f"cannot look up {kind} of {name}: {type(error).__name__}") from None

    def _resolver(self) -> "dns.resolver.Resolver":
        import dns.resolver

        if self._server is None:
            return dns.resolver.Resolver()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [self._address(self._server.host)]
        resolver.port = self._server.port
        return resolver

    def _address(self, host: str) -> str:
        import socket

        return str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0])


def _host(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower().removesuffix(".")
