"""What is known, or guessed, of the servers of a mail address, and accounts made from that alone."""

from dataclasses import replace
from enum import Enum

from mailsvc.core.acts import Act
from mailsvc.core.mail_accounts import (
    IMAP,
    POP3,
    SMTP,
    Offer,
    Provider,
    Servers,
    guessed_imap,
    guessed_pop3,
    guessed_smtp,
    server_of,
)
from mailsvc.core.refusals import LoginRejected, UnknownProvider
from mailsvc.services import accounts, login_checks
from mailsvc.services.accounts import ListedAccount, Wanted
from mailsvc.services.ports import Ports


class Ask(Enum):
    """Which incoming server is asked for."""

    GUESS = "guess"
    IMAP = "imap"
    POP3 = "pop3"
    EITHER = "either"


def offered(ports: Ports, email: str, ask: Ask) -> Servers:
    """Where the owner of ``email`` would log in; connects nowhere."""
    domain = _domain(email)
    provider = Provider() if ask is Ask.GUESS else ports.settings.mail_providers.get(domain, Provider())
    protocol, offer = _incoming(provider, domain, ask)
    return _servers(provider, protocol, offer, email)


def add_known(ports: Ports, act: Act, *, email: str, password: str) -> ListedAccount:
    """Make an account with one of its provider's servers, IMAP before POP3, whichever lets us in first.

    Raises UnknownProvider, LoginRejected with what came of each, TooBusy.
    """
    domain = _domain(email)
    provider = ports.settings.mail_providers.get(domain, Provider())
    tries = [(IMAP, provider.imap), (POP3, provider.pop3)]
    attempts = []
    for protocol, offer in tries:
        if offer is None:
            continue
        servers = _servers(provider, protocol, offer, email)
        with ports.outgoing.turn():
            attempt = login_checks.attempted(
                ports, servers, password, password, connect_seconds=login_checks.SIMPLE_CONNECT_SECONDS
            )
        if not attempt.failed:
            return accounts.put(ports, act, Wanted(email, "", servers, password, password, restrict=True))
        attempts.append(replace(attempt, numbered=True))
    if not attempts:
        raise UnknownProvider(domain=domain)
    raise LoginRejected(attempts=tuple(attempts))


def _incoming(provider: Provider, domain: str, ask: Ask) -> tuple[str, Offer]:
    if ask is Ask.POP3:
        return POP3, provider.pop3 or guessed_pop3(domain)
    if ask is Ask.EITHER and provider.imap is None:
        return POP3, provider.pop3 or guessed_pop3(domain)
    return IMAP, provider.imap or guessed_imap(domain)


def _servers(provider: Provider, protocol: str, offer: Offer, email: str) -> Servers:
    smtp = provider.smtp or guessed_smtp(_domain(email))
    return Servers(server_of(protocol, offer, email), server_of(SMTP, smtp, email))


def _domain(email: str) -> str:
    return email.partition("@")[2].lower()
