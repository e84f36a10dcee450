"""Proving an account by logging in to both of its servers at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mailsvc.core.mail_accounts import IMAP, MailServer, Servers
from mailsvc.courier import imap, pop3, smtp_login
from mailsvc.courier.failures import Failure
from mailsvc.courier.links import Links


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it: for each server None, or why not."""

    incoming: str | None
    outgoing: str | None


def incoming_session(links: Links, server: MailServer, password: str) -> imap.ImapSession | pop3.Pop3Session:
    """A session with an IMAP or POP3 server. Raises Failure."""
    return imap.log_in(links, server, password) if server.protocol == IMAP else pop3.log_in(links, server, password)


def check(links: Links, servers: Servers, password: str, smtp_password: str, *, name: str) -> Verdict:
    """Log in to both servers, whatever becomes of either, and leave them politely. ``name`` is ours for EHLO.

    Takes at most as long as the slower of them: seconds to connect and to log in, and a few to take leave.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="smtp-check") as other:
        outgoing = other.submit(_reason, lambda: smtp_login.log_in(links, servers.outgoing, smtp_password, name=name))
        incoming = _reason(lambda: incoming_session(links, servers.incoming, password).close())
        return Verdict(incoming, outgoing.result())


def _reason(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except Failure as failure:
        return failure.reason
    return None
