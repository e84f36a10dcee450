"""External mail accounts: proved by a login before they are saved, listed, changed and removed.

They belong to the acting user; even root sees his own only. Passwords are sealed for the row, which is named by its
user and address.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailsvc.core import mail_accounts as core
from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address, mail_address
from mailsvc.core.mail_accounts import EVERYTHING, SMTP, MailServer, Servers
from mailsvc.core.refusals import BadInput, ChangedMeanwhile, NoSuchAccount, NoSuchMailbox
from mailsvc.services import audit, installation_id, login_checks
from mailsvc.services.ports import Ports
from mailsvc.store.models import DefaultAccount, Domain, Mailbox
from mailsvc.store.models import ExternalAccount as Row
from mailsvc.store.types import now

Found = Any
"""A row of _ONE."""

INCOMING = "incoming"

_ONE = select(Row.__table__).where(Row.user_id == bindparam("user"), Row.email == bindparam("email"))
_LISTED = (
    select(
        Row.id,
        Row.email,
        Row.name,
        Row.enabled,
        Row.quota_error,
        Row.auth_error,
        (DefaultAccount.account_id.is_not(None)).label("is_default"),
        Row.created_at,
    )
    .outerjoin(DefaultAccount, DefaultAccount.account_id == Row.id)
    .where(Row.user_id == bindparam("user"))
    .order_by(Row.id)
)
_UPDATE = update(Row).where(Row.id == bindparam("which"))
_UPDATE_UNCHANGED = _UPDATE.where(Row.revision == bindparam("seen"))
_OWNER_OF_MAILBOX = (
    select(Domain.owner_id).join(Mailbox, Mailbox.domain_id == Domain.id).where(Mailbox.address == bindparam("address"))
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An account as its owner wants it.

    ``email`` is a plain address in any case; ``restrict``: collect the last 30 days only; ``deliver_to`` names a local
    mailbox, "" none, None leaves what is stored.
    """

    email: str
    name: str
    servers: Servers
    password: str
    smtp_password: str
    restrict: bool
    deliver_to: str | None = None


class ListedAccount(NamedTuple):
    """An account as lists show it."""

    id: int
    email: str
    name: str
    enabled: bool
    quota_error: bool
    auth_error: bool
    is_default: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """The settings of an account, without its passwords."""

    id: int
    email: str
    name: str
    servers: Servers
    begin_at: datetime
    deliver_to: str

    @property
    def restricted(self) -> bool:
        """Whether older mail is left where it is."""
        return self.begin_at != EVERYTHING


def listed(ports: Ports, acting: PanelUser) -> Sequence[ListedAccount]:
    """The accounts of ``acting``, by number."""
    with ports.store.reading() as unit:
        return [ListedAccount._make(row) for row in unit.execute(_LISTED, {"user": acting.id})]


def single(ports: Ports, acting: PanelUser, *, email: str) -> StoredAccount:
    """One account. Raises NoSuchAccount."""
    with ports.store.reading() as unit:
        return stored(_one(unit, acting, email))


def add(ports: Ports, act: Act, wanted: Wanted) -> ListedAccount:
    """Prove and save an account; one that is there already is overwritten and keeps number, switch and creation date.

    Raises NoSuchMailbox (``deliver_to``), LoginRejected, TooBusy.
    """
    with ports.store.reading() as unit:
        _deliverable(unit, act.acting, wanted.deliver_to)
    login_checks.prove(ports, wanted.servers, wanted.password, wanted.smtp_password)
    return put(ports, act, wanted)


def put(ports: Ports, act: Act, wanted: Wanted) -> ListedAccount:
    """Save an account that has been proved just now."""
    email = wanted.email.lower()
    moment = now()
    values = _values(ports, act.acting, wanted, moment)
    values |= {"password": _seal(ports, act.acting, email, INCOMING, wanted.password)}
    values |= {"smtp_password": _seal(ports, act.acting, email, SMTP, wanted.smtp_password)}
    with ports.store.writing() as unit:
        row = unit.execute(_ONE, {"user": act.acting.id, "email": email}).one_or_none()
        if row is None:
            made = {"id": installation_id.next_account(unit), "user_id": act.acting.id, "email": email, "enabled": True}
            made |= {"quota_error": False, "created_at": moment, "revision": 0, "collected": 0}
            unit.execute(insert(Row), {"deliver_to": ""} | values | made)
        else:
            unit.execute(_UPDATE.values(revision=Row.revision + 1, **values), {"which": row.id})
        audit.done(unit, act, email)
        return _listed_one(unit, act.acting, email)


def change(ports: Ports, act: Act, wanted: Wanted) -> ListedAccount:
    """Prove and change an account; a blank password keeps the stored one, and the protocol stays what it is.

    Raises NoSuchMailbox (``deliver_to``), NoSuchAccount, LoginRejected, TooBusy, ChangedMeanwhile.
    """
    with ports.store.reading() as unit:
        _deliverable(unit, act.acting, wanted.deliver_to)
        row = _one(unit, act.acting, wanted.email)
    password = wanted.password or _open(ports, row, INCOMING)
    smtp_password = wanted.smtp_password or _open(ports, row, SMTP)
    incoming = wanted.servers.incoming
    servers = Servers(
        MailServer(row.protocol, incoming.host, incoming.port, incoming.login, incoming.encryption, incoming.auth),
        wanted.servers.outgoing,
    )
    login_checks.prove(ports, servers, password, smtp_password)
    values = _values(ports, act.acting, wanted, now()) | {"protocol": row.protocol}
    if wanted.password:
        values["password"] = _seal(ports, act.acting, row.email, INCOMING, password)
    if wanted.smtp_password:
        values["smtp_password"] = _seal(ports, act.acting, row.email, SMTP, smtp_password)
    return _change(ports, act, row, values)


def enable(ports: Ports, act: Act, *, email: str) -> ListedAccount:
    """Prove an account, and collect its mail. Raises NoSuchAccount, LoginRejected, TooBusy, ChangedMeanwhile."""
    with ports.store.reading() as unit:
        row = _one(unit, act.acting, email)
    login_checks.prove(ports, stored(row).servers, _open(ports, row, INCOMING), _open(ports, row, SMTP))
    values = {"enabled": True, "auth_error": False, "failing_since": None, "next_visit_at": now()}
    return _change(ports, act, row, values)


def disable(ports: Ports, act: Act, *, email: str) -> ListedAccount:
    """Collect no more mail of an account. Raises NoSuchAccount."""
    with ports.store.writing() as unit:
        row = _one(unit, act.acting, email)
        unit.execute(_UPDATE.values(enabled=False, revision=Row.revision + 1), {"which": row.id})
        audit.done(unit, act, row.email)
        return _listed_one(unit, act.acting, row.email)


def remove(ports: Ports, act: Act, *, email: str) -> int:
    """Forget an account, its passwords and what was collected; the mail stays. Gives its number.

    Raises NoSuchAccount.
    """
    with ports.store.writing() as unit:
        row = _one(unit, act.acting, email)
        unit.execute(delete(Row).where(Row.id == row.id))
        audit.done(unit, act, row.email)
    number: int = row.id
    return number


def set_default(ports: Ports, act: Act, *, email: str) -> None:
    """Make an account the default of its user. Raises NoSuchAccount."""
    with ports.store.writing() as unit:
        row = _one(unit, act.acting, email)
        unit.execute(delete(DefaultAccount).where(DefaultAccount.user_id == act.acting.id))
        unit.execute(insert(DefaultAccount), {"user_id": act.acting.id, "account_id": row.id})
        audit.done(unit, act, row.email)


def clear_default(ports: Ports, act: Act, *, email: str) -> None:
    """Leave the user without a default account, whichever it was."""
    with ports.store.writing() as unit:
        unit.execute(delete(DefaultAccount).where(DefaultAccount.user_id == act.acting.id))
        audit.done(unit, act, email.lower())


def stored(row: Found) -> StoredAccount:
    """The settings in a row."""
    incoming = MailServer(row.protocol, row.server, row.port, row.login, row.encryption, row.auth)
    outgoing = MailServer(SMTP, row.smtp_server, row.smtp_port, row.smtp_login, row.smtp_encryption, row.smtp_auth)
    return StoredAccount(row.id, row.email, row.name, Servers(incoming, outgoing), row.begin_at, row.deliver_to)


def seal_purpose(user_id: int, email: str, part: str) -> str:
    """What a password is sealed for; ``part`` is INCOMING or SMTP."""
    return f"account:{user_id}:{email}:{part}"


def may_fill(unit: Connection, *, user_id: int, is_root: bool, address: str) -> bool:
    """Whether there is a mailbox ``address``, and it is in a domain of that user's (a root's: any)."""
    return is_filled_by(unit.scalar(_OWNER_OF_MAILBOX, {"address": address}), user_id=user_id, is_root=is_root)


def owner_of(address: Any) -> Any:
    """Within another statement: the number of the user whose domain has the mailbox ``address``, NULL if none has."""
    return (
        select(Domain.owner_id)
        .join(Mailbox, Mailbox.domain_id == Domain.id)
        .where(Mailbox.address == address)
        .scalar_subquery()
    )


def is_filled_by(owner: int | None, *, user_id: int, is_root: bool) -> bool:
    """Whether a mailbox in a domain of ``owner`` (None: there is no such mailbox) may be filled by that user."""
    return owner is not None and (is_root or owner == user_id)


def _one(unit: Connection, acting: PanelUser, email: str) -> Found:
    row = unit.execute(_ONE, {"user": acting.id, "email": email.lower()}).one_or_none()
    if row is None:
        raise NoSuchAccount(email=email)
    return row


def _listed_one(unit: Connection, acting: PanelUser, email: str) -> ListedAccount:
    rows = unit.execute(_LISTED.where(Row.email == email), {"user": acting.id})
    return ListedAccount._make(rows.one())


def _deliverable(unit: Connection, acting: PanelUser, deliver_to: str | None) -> Address | None:
    if not deliver_to:
        return None
    try:
        address = mail_address(deliver_to)
    except BadInput:
        raise NoSuchMailbox(address=deliver_to) from None
    if not may_fill(unit, user_id=acting.id, is_root=acting.is_root, address=str(address)):
        raise NoSuchMailbox(address=deliver_to)
    return address


def _values(ports: Ports, acting: PanelUser, wanted: Wanted, moment: datetime) -> dict[str, Any]:
    incoming, outgoing = wanted.servers.incoming, wanted.servers.outgoing
    values: dict[str, Any] = {
        "name": wanted.name,
        "protocol": incoming.protocol,
        "server": incoming.host,
        "port": incoming.port,
        "login": incoming.login,
        "encryption": incoming.encryption,
        "auth": incoming.auth,
        "smtp_server": outgoing.host,
        "smtp_port": outgoing.port,
        "smtp_login": outgoing.login,
        "smtp_encryption": outgoing.encryption,
        "smtp_auth": outgoing.auth,
        "begin_at": core.begin_of(restrict=wanted.restrict, at=moment),
        "auth_error": False,
        "failing_since": None,
        "next_visit_at": moment,
    }
    if wanted.deliver_to is not None:
        with ports.store.reading() as unit:
            values["deliver_to"] = str(_deliverable(unit, acting, wanted.deliver_to) or "")
    return values


def _change(ports: Ports, act: Act, row: Found, values: dict[str, Any]) -> ListedAccount:
    """Change what was proved, unless it is no longer that."""
    with ports.store.writing() as unit:
        changed = _UPDATE_UNCHANGED.values(revision=Row.revision + 1, **values)
        if not unit.execute(changed, {"which": row.id, "seen": row.revision}).rowcount:
            raise ChangedMeanwhile(email=row.email)
        audit.done(unit, act, row.email)
        return _listed_one(unit, act.acting, row.email)


def _seal(ports: Ports, acting: PanelUser, email: str, part: str, password: str) -> bytes:
    return ports.seals.seal(seal_purpose(acting.id, email, part), password.encode())


def _open(ports: Ports, row: Found, part: str) -> str:
    sealed = row.password if part == INCOMING else row.smtp_password
    return ports.seals.open(seal_purpose(row.user_id, row.email, part), sealed).decode()
