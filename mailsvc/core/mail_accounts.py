"""External mail accounts as values: the servers of an account, how to log in there, and what a provider offers."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

IMAP = "imap"
POP3 = "pop3"
SMTP = "smtp"

PLAIN = 0
TLS = 1
STARTTLS = 2
ENCRYPTIONS = (PLAIN, TLS, STARTTLS)
"""How a line is secured: not at all, from the first byte, or by an upgrade that is required."""

NO_AUTH = 0
LOGIN = 1
CRAM_MD5 = 4
OAUTH2 = 5
AUTHS = (NO_AUTH, LOGIN, CRAM_MD5)
"""How to log in: for SMTP not at all (for IMAP and POP3 as LOGIN), by the first usual way offered, by CRAM-MD5 only."""

TEXT_LENGTH = 255
PASSWORD_LENGTH = 1024

EVERYTHING = datetime(1975, 1, 1, tzinfo=UTC)
"""The begin date of an account that collects all there is."""

RECENT = timedelta(days=30)

MOST_BYTES = 67_108_864
"""Larger messages are not collected."""

_PLAIN_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f-\x9f]{1,64}@[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and how to log in. ``protocol`` is IMAP, POP3 or SMTP; host and port are as the user gave them."""

    protocol: str
    host: str
    port: int
    login: str
    encryption: int
    auth: int


@dataclass(frozen=True, slots=True)
class Servers:
    """The two servers of an account."""

    incoming: MailServer
    outgoing: MailServer


@dataclass(frozen=True, slots=True)
class Offer:
    """One server of a provider. ``by_local_part``: its logins are what stands before the ``@``."""

    host: str
    port: int
    encryption: int
    by_local_part: bool = False


@dataclass(frozen=True, slots=True)
class Provider:
    """What a mail provider is known to offer."""

    imap: Offer | None = None
    pop3: Offer | None = None
    smtp: Offer | None = None


def is_plain_address(text: str) -> bool:
    """Whether ``text`` is one ``name@domain``: no display name, no blank, no control character."""
    if len(text) > TEXT_LENGTH or not _PLAIN_ADDRESS.fullmatch(text):
        return False
    local, _, domain = text.partition("@")
    return not any(part.startswith(".") or part.endswith(".") or ".." in part for part in (local, domain))


def begin_of(*, restrict: bool, at: datetime) -> datetime:
    """The begin date of an account saved at ``at``: only the last 30 days, or everything."""
    return at - RECENT if restrict else EVERYTHING


def guessed_imap(domain: str) -> Offer:
    """Where a domain of an unknown provider may have its IMAP server."""
    return Offer(f"imap.{domain}", 993, TLS)


def guessed_pop3(domain: str) -> Offer:
    """Where a domain of an unknown provider may have its POP3 server."""
    return Offer(f"pop.{domain}", 110, PLAIN)


def guessed_smtp(domain: str) -> Offer:
    """Where a domain of an unknown provider may have its SMTP server."""
    return Offer(f"smtp.{domain}", 25, PLAIN)


def server_of(protocol: str, offer: Offer, address: str) -> MailServer:
    """How the owner of ``address`` logs in to an offered server."""
    login = address.partition("@")[0] if offer.by_local_part else address
    return MailServer(protocol, offer.host, offer.port, login, offer.encryption, LOGIN)
