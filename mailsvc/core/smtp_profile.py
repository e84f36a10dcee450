"""How mail is handed to an SMTP server: one value behind the settings of every dialect.

Each dialect sees it through a lens of its own (``protocols/<name>/lens.py``): ``get`` makes its view of a profile,
``put`` makes the next profile of the old one and a view. What a view cannot say, ``put`` leaves as it was.
"""

from dataclasses import dataclass

PLAIN = "plain"
"""No TLS, not even when the server offers it."""

OPPORTUNISTIC = "opportunistic"
"""STARTTLS when the server offers it; its failure is then a failure."""

STARTTLS = "starttls"
"""STARTTLS (RFC 3207) or nothing."""

TLS = "tls"
"""TLS from the first byte (RFC 8314)."""

USUAL_PORTS = {PLAIN: 25, OPPORTUNISTIC: 25, STARTTLS: 587, TLS: 465}

INSTALLATION = "installation"
PORTAL = "portal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpProfile:
    """One way to hand mail in. The empty one is what a scope has before anything was set.

    ``port`` 0 is the usual port of ``security``; ``verify`` whether chain and host name of the certificate are checked;
    ``username`` empty means no authentication, ``mechanism`` None the first that the server offers of those we speak.
    ``sender`` is an address, or ``Name <address>`` as the installation's settings hold it; ``sender_name`` the display
    name where it is kept apart. ``ehlo_name`` empty is this server's own name.
    """

    host: str = ""
    port: int = 0
    security: str = PLAIN
    verify: bool = True
    username: str = ""
    mechanism: str | None = None
    sender: str = ""
    sender_name: str = ""
    ehlo_name: str = ""

    @property
    def dialled_port(self) -> int:
        """The port to connect to."""
        return self.port or USUAL_PORTS[self.security]
