"""Wire to use-case and back. A handler gets what its schema read, checked, and gives what stands in the envelope."""

from collections.abc import Mapping
from typing import Any

from mailsvc.core.acts import Act
from mailsvc.core.mail_accounts import IMAP, NO_AUTH, POP3, RECENT, SMTP, MailServer, Servers
from mailsvc.protocols.onlyoffice_mail import views
from mailsvc.services import accounts, providers
from mailsvc.services.accounts import Wanted
from mailsvc.services.ports import Ports
from mailsvc.services.providers import Ask
from mailsvc.store.types import now

Sent = Mapping[str, Any]

ACTIONS = {
    "get_imap_server": Ask.IMAP,
    "get_imap_server_full": Ask.IMAP,
    "get_pop_server": Ask.POP3,
    "get_pop_server_full": Ask.POP3,
    "get_imap_pop_settings": Ask.EITHER,
}


def listed(ports: Ports, act: Act, _sent: Sent) -> Any:
    """All accounts of the caller."""
    return [views.account(row, in_list=True) for row in accounts.listed(ports, act.acting)]


def single(ports: Ports, act: Act, sent: Sent) -> Any:
    """The settings of one."""
    return views.settings(accounts.single(ports, act.acting, email=sent["email"]))


def add(ports: Ports, act: Act, sent: Sent) -> Any:
    """Add an account, or overwrite it."""
    return views.account(accounts.add(ports, act, _wanted(sent, IMAP if sent["imap"] else POP3)))


def change(ports: Ports, act: Act, sent: Sent) -> Any:
    """Change an account; which protocol it has is not asked."""
    return views.account(accounts.change(ports, act, _wanted(sent, IMAP)))


def add_simply(ports: Ports, act: Act, sent: Sent) -> Any:
    """Add an account of a known provider."""
    return views.account(providers.add_known(ports, act, email=sent["email"], password=sent["password"]))


def remove(ports: Ports, act: Act, sent: Sent) -> Any:
    """Remove an account."""
    return views.removed(accounts.remove(ports, act, email=sent["email"]))


def set_state(ports: Ports, act: Act, sent: Sent) -> Any:
    """Collect its mail, or do not."""
    switch = accounts.enable if sent["state"] else accounts.disable
    return switch(ports, act, email=sent["email"]).id


def set_default(ports: Ports, act: Act, sent: Sent) -> Any:
    """Make it the default, or have none."""
    switch = accounts.set_default if sent["is_default"] else accounts.clear_default
    switch(ports, act, email=sent["email"])
    return sent["email"].lower()


def setups(ports: Ports, _act: Act, sent: Sent) -> Any:
    """What its settings might be."""
    email = sent["email"].lower()
    servers = providers.offered(ports, email, ACTIONS.get(sent["action"].lower(), Ask.GUESS))
    return views.offered(email, servers, now() - RECENT)


def operation(_ports: Ports, _act: Act, _sent: Sent) -> Any:
    """What became of an operation."""
    return views.finished()


def _wanted(sent: Sent, protocol: str) -> Wanted:
    incoming = MailServer(
        protocol, sent["server"], sent["port"], sent["account"], sent["incoming_encryption_type"], sent["auth_type_in"]
    )
    outgoing = MailServer(
        SMTP,
        sent["smtp_server"],
        sent["smtp_port"],
        sent["smtp_account"],
        sent["outcoming_encryption_type"],
        sent["auth_type_smtp"] if sent["smtp_auth"] else NO_AUTH,
    )
    return Wanted(
        email=sent["email"],
        name=sent["name"],
        servers=Servers(incoming, outgoing),
        password=sent["password"],
        smtp_password=sent["smtp_password"],
        restrict=sent["restrict"],
        deliver_to=sent["deliver_to"],
    )
