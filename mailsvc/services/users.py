"""Panel users: who may call mailsvc, in which role, and how many mailboxes their plan holds."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailsvc.core.acts import LANGUAGES, ROLES, ROOT, Act, PanelUser
from mailsvc.core.passwords import checked_password
from mailsvc.core.refusals import (
    AlreadyExists,
    BadInput,
    LastRoot,
    LimitReached,
    NotYours,
    StillOwnsDomains,
    UnknownUser,
)
from mailsvc.core.texts import is_clean
from mailsvc.services import audit
from mailsvc.services.ports import Ports
from mailsvc.store.models import Domain, LoginSession
from mailsvc.store.models import PanelUser as Row
from mailsvc.store.types import ON, now

NAME_LENGTH = 64
EMAIL_LENGTH = 254

_NAMED = select(Row.id, Row.name, Row.role, Row.language).where(Row.name == bindparam("name"))
_LISTED = select(
    Row.name, Row.role, Row.active, Row.email, Row.language, Row.mailbox_count, Row.mailbox_limit
).order_by(Row.name)
_COUNT = (
    update(Row)
    .where(
        Row.id == bindparam("owner_id"),
        sa.or_(
            bindparam("more", type_=sa.Integer) <= 0,
            Row.mailbox_limit.is_(None),
            Row.mailbox_count + bindparam("more", type_=sa.Integer) <= Row.mailbox_limit,
        ),
    )
    .values(mailbox_count=Row.mailbox_count + bindparam("more", type_=sa.Integer))
)
_ROOTS_BESIDE = (
    select(func.count()).select_from(Row).where(Row.role == ROOT, Row.active == ON, Row.name != bindparam("name"))
)
_DOMAINS_OF = select(func.count()).select_from(Domain).where(Domain.owner_id == bindparam("owner_id"))


_LOGINS_END = delete(LoginSession).where(LoginSession.user_id == bindparam("user_id"))
_EMAIL = select(Row.email).where(Row.id == bindparam("id"))
_HAS_EMAIL = select(Row.id).where(Row.folded_email == bindparam("folded")).limit(1)


class ListedUser(NamedTuple):
    """A user as lists show him; ``mailbox_limit`` None is no limit."""

    name: str
    role: str
    active: bool
    email: str | None
    language: str | None
    mailbox_count: int
    mailbox_limit: int | None


def named(unit: Connection, name: str) -> PanelUser:
    """The user of exactly that name, active or not. Raises UnknownUser."""
    # PostgreSQL cannot even compare a text that holds a NUL.
    row = unit.execute(_NAMED, {"name": name}).one_or_none() if is_clean(name) else None
    if row is None:
        raise UnknownUser(user=name)
    return PanelUser(row.id, row.name, row.role, row.language)


def contact_address(ports: Ports, user: PanelUser) -> str | None:
    """Where the user can be reached, or None when nobody said."""
    with ports.store.reading() as unit:
        email: str | None = unit.scalar(_EMAIL, {"id": user.id})
    return email


def acting_for(ports: Ports, caller: PanelUser, name: str | None) -> PanelUser:
    """The user that ``caller`` acts for: himself when ``name`` is empty or his own, else ``name`` if he is root.

    Raises NotYours before it looks whether the user exists, and UnknownUser.
    """
    if not name or name == caller.name:
        return caller
    if not caller.is_root:
        raise NotYours(user=name)
    with ports.store.reading() as unit:
        return named(unit, name)


def add(
    ports: Ports,
    act: Act,
    *,
    name: str,
    password: str,
    role: str,
    email: str | None = None,
    language: str | None = None,
    mailbox_limit: int | None = None,
) -> None:
    """Add an active user. ``email``, which some dialects take for his name, must be nobody else's.

    Raises BadInput, AlreadyExists.
    """
    _check(name, role, email, language)
    row = {
        "name": name,
        "folded_name": name.lower(),
        "email": email,
        "folded_email": email and email.lower(),
        "password_hash": ports.passwords.hash(checked_password(password)),
        "role": role,
        "language": language,
        "active": True,
        "mailbox_limit": mailbox_limit,
        "created_at": now(),
    }
    with ports.store.writing() as unit:
        if email is not None and unit.scalar(_HAS_EMAIL, {"folded": email.lower()}) is not None:
            raise AlreadyExists(email=email)
        try:
            unit.execute(insert(Row), row)
        except IntegrityError:
            raise AlreadyExists(user=name) from None
        audit.done(unit, act, name)


def _check(name: str, role: str, email: str | None, language: str | None) -> None:
    # HTTP Basic ends a user name at the first colon (RFC 7617, section 2); blanks at the ends only lead to mistakes.
    if not 1 <= len(name) <= NAME_LENGTH or not is_clean(name) or name != name.strip() or ":" in name:
        raise BadInput(field="name", reason=f"1 to {NAME_LENGTH} characters, no colon, no blank at either end")
    if role not in ROLES:
        raise BadInput(field="role", reason=f"one of {', '.join(ROLES)}")
    if language is not None and language not in LANGUAGES:
        raise BadInput(field="language", reason=f"one of {', '.join(LANGUAGES)}")
    if email is not None and (len(email) > EMAIL_LENGTH or not re.fullmatch(r"[^\s@]+@[^\s@]+", email)):
        raise BadInput(field="email", reason="an e-mail address")


def change_password(ports: Ports, act: Act, *, name: str, password: str) -> None:
    """Give a user another password; the old one is refused at once, everywhere, and his logins end.

    Raises BadInput, UnknownUser.
    """
    checked_password(password)
    _change(ports, act, name, password_hash=ports.passwords.hash(password))


def enable(ports: Ports, act: Act, *, name: str) -> None:
    """Let a user in again. Raises UnknownUser."""
    _change(ports, act, name, active=True)


def disable(ports: Ports, act: Act, *, name: str) -> None:
    """Refuse a user's calls from now on and end his logins; his domains and their mail go on.

    Raises UnknownUser, LastRoot.
    """
    _change(ports, act, name, active=False)


def _change(ports: Ports, act: Act, name: str, **values: Any) -> None:
    with ports.store.writing() as unit:
        user = named(unit, name)
        if values.get("active") is False:
            _refuse_last_root(unit, user)
        unit.execute(update(Row).where(Row.id == user.id).values(**values))
        if values.get("active") is False or "password_hash" in values:
            unit.execute(_LOGINS_END, {"user_id": user.id})
        audit.done(unit, act, name)


def remove(ports: Ports, act: Act, *, name: str) -> None:
    """Remove a user who owns no domain any more. Raises UnknownUser, StillOwnsDomains, LastRoot."""
    with ports.store.writing() as unit:
        user = named(unit, name)
        _refuse_last_root(unit, user)
        if domains := unit.scalar(_DOMAINS_OF, {"owner_id": user.id}):
            raise StillOwnsDomains(user=name, domains=domains)
        unit.execute(delete(Row).where(Row.id == user.id))
        audit.done(unit, act, name)


def _refuse_last_root(unit: Connection, user: PanelUser) -> None:
    if user.is_root and not unit.scalar(_ROOTS_BESIDE, {"name": user.name}):
        raise LastRoot(user=user.name)


def listed(ports: Ports) -> Sequence[ListedUser]:
    """All users, by name."""
    with ports.store.reading() as unit:
        return [ListedUser._make(row) for row in unit.execute(_LISTED)]


def count_mailboxes(unit: Connection, owner_id: int, more: int) -> None:
    """Keep the owner's number of mailboxes, in the transaction that changes it.

    Raises LimitReached when it may not grow.
    """
    if not unit.execute(_COUNT, {"owner_id": owner_id, "more": more}).rowcount:
        limit, name = unit.execute(select(Row.mailbox_limit, Row.name).where(Row.id == owner_id)).one()
        raise LimitReached(user=name, limit=limit)
