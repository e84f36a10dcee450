"""What every domain's zone has beside MX, SPF and DKIM: a DMARC policy, and where mail clients find this server.

The views that PowerDNS reads say the same in SQL (migrations/views); a test compares the two.
"""

from typing import NamedTuple

DMARC = "_dmarc"
DMARC_TEXT = "v=DMARC1; p=none"
"""The policy that asks for nothing (RFC 7489, section 6.3): it changes no delivery, and large receivers want to see one
beside SPF and DKIM. A stricter one is the domain owner's decision."""

AUTOCONFIG = "autoconfig"
"""Where Thunderbird and others ask for settings: an alias of this server."""


class Service(NamedTuple):
    """An SRV record (RFC 2782) of a service of this server; a lower ``priority`` is preferred."""

    label: str
    priority: int
    weight: int
    port: int


SERVICES = (
    Service("_submissions._tcp", 0, 1, 465),
    Service("_submission._tcp", 10, 1, 587),
    Service("_imaps._tcp", 0, 1, 993),
    Service("_imap._tcp", 10, 1, 143),
    Service("_pop3s._tcp", 20, 1, 995),
)
"""RFC 6186 with the priorities of RFC 8314, section 5.1: TLS from the first byte before STARTTLS, and IMAP before
POP3."""

LABELS = (DMARC, AUTOCONFIG, "_tcp", *(service.label for service in SERVICES))
"""Every such name, relative to the domain. ``_tcp`` is the empty one above the services."""
