"""Proving external accounts by logging in.

The clients for it are loaded by the first login: half a megabyte, and most services never do one.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailsvc.core.mail_accounts import Servers
from mailsvc.core.refusals import LoginRejected
from mailsvc.services.ports import Ports

if TYPE_CHECKING:
    from mailsvc.courier.links import Links

SIMPLE_CONNECT_SECONDS = 10.0
"""What connecting may take when the servers were found in the provider table."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of logging in to two servers: for each None, or the reason in a line of text that may be anything.

    ``numbered``: it is one of those that were found for an account without its owner's saying.
    """

    protocol: str
    incoming: str | None
    outgoing: str | None
    numbered: bool = False

    @property
    def failed(self) -> bool:
        """Whether either server said no."""
        return self.incoming is not None or self.outgoing is not None


def links_of(ports: Ports, connect_seconds: float | None = None) -> "Links":
    """How foreign mail servers are reached."""
    from mailsvc.courier.links import Links

    settings = ports.settings
    return Links(
        ports.targets,
        verify=not settings.allow_invalid_certs,
        connect_seconds=connect_seconds or settings.connect_timeout,
        login_seconds=settings.login_timeout,
    )


def prove(ports: Ports, servers: Servers, password: str, smtp_password: str) -> None:
    """Log in to both servers. Raises LoginRejected, TooBusy. No transaction may be open meanwhile."""
    with ports.outgoing.turn():
        attempt = attempted(ports, servers, password, smtp_password)
    if attempt.failed:
        raise LoginRejected(attempts=(attempt,))


def attempted(
    ports: Ports, servers: Servers, password: str, smtp_password: str, *, connect_seconds: float | None = None
) -> Attempt:
    """What comes of logging in to both servers. The caller has a turn."""
    from mailsvc.courier import probe

    links = links_of(ports, connect_seconds)
    verdict = probe.check(links, servers, password, smtp_password, name=ports.settings.hostname)
    return Attempt(servers.incoming.protocol, verdict.incoming, verdict.outgoing)
