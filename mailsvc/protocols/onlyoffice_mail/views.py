"""The objects of this wire, members in the contract's order (sections 4.2, 4.3 and 4.5)."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mailsvc.core.mail_accounts import EVERYTHING, IMAP, NO_AUTH, Servers
from mailsvc.services.accounts import ListedAccount, StoredAccount

NEVER = "0001-01-01T00:00:00"

Json = Mapping[str, Any]


def account(row: ListedAccount, *, in_list: bool = False) -> Json:
    """An account. What was saved just now has no errors and, on this wire, no date; a list shows both."""
    return {
        "mailboxId": row.id,
        "email": row.email,
        "enabled": row.enabled,
        "name": row.name,
        "oAuthConnection": False,
        "signature": {"mailboxId": row.id, "html": "", "isActive": False},
        "autoreply": {
            "mailboxId": row.id,
            "turnOn": False,
            "onlyContacts": False,
            "turnOnToDate": False,
            "fromDate": NEVER,
            "toDate": NEVER,
            "subject": "",
            "html": "",
        },
        "eMailInFolder": "" if in_list else None,
        "quotaError": row.quota_error if in_list else False,
        "authError": row.auth_error if in_list else False,
        "isGroup": False,
        "isAlias": False,
        "isTeamlabMailbox": False,
        "isDefault": row.is_default,
        "isSharedDomainMailbox": False,
        "dateCreated": _moment(row.created_at) if in_list else None,
    }


def settings(stored: StoredAccount) -> Json:
    """The settings of an account, never its passwords."""
    members = _settings(stored.id, stored.email, stored.name, stored.servers, stored.begin_at)
    return {**members, "deliver_to": stored.deliver_to}


def offered(email: str, servers: Servers, begin: datetime) -> Json:
    """The settings that an account of ``email`` could have."""
    return _settings(0, email, "", servers, begin)


def _settings(number: int, email: str, name: str, servers: Servers, begin: datetime) -> Json:
    incoming, outgoing = servers.incoming, servers.outgoing
    return {
        "id": number,
        "email": email,
        "name": name,
        "account": incoming.login,
        "password": "",
        "server": incoming.host,
        "smtp_server": outgoing.host,
        "smtp_port": str(outgoing.port),
        "smtp_account": outgoing.login,
        "smtp_password": "",
        "smtp_auth": outgoing.auth != NO_AUTH,
        "port": str(incoming.port),
        "incoming_encryption_type": incoming.encryption,
        "outcoming_encryption_type": outgoing.encryption,
        "auth_type_in": incoming.auth,
        "auth_type_smtp": outgoing.auth,
        "imap": incoming.protocol == IMAP,
        "begin_date": _moment(begin),
        "is_oauth": False,
        "restrict": begin != EVERYTHING,
        "email_in_folder": None,
        "is_teamlab": False,
    }


def removed(number: int) -> Json:
    """A removal, which is always complete."""
    return {
        "completed": True,
        "id": str(uuid.uuid4()),
        "status": "Finished",
        "error": "",
        "percents": 100,
        "source": str(number),
        "operationType": 2,
        "operation": "RemoveMailbox",
    }


def finished() -> Json:
    """Whatever operation is asked after: nothing takes any time here."""
    return {
        "completed": True,
        "id": None,
        "status": "",
        "error": "",
        "percents": 100,
        "source": "",
        "operationType": -1,
        "operation": None,
    }


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S")
