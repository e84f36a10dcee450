"""SMTP profiles: kept by scope, changed as a whole or in part, and the one that is in effect."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum, auto
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.smtp_profile import INSTALLATION, PORTAL, SmtpProfile
from mailsvc.courier.routes import Limits, Route
from mailsvc.services import audit, tokens
from mailsvc.services.ports import Ports
from mailsvc.store.models import Domain
from mailsvc.store.models import SmtpProfile as Row
from mailsvc.store.questions import Question

_COLUMNS = tuple(field.name for field in fields(SmtpProfile))
_OF_DOMAIN = select(Row.scope).join(Domain, Domain.id == Row.domain_id).where(Domain.name == bindparam("name"))
# On the table itself: for a mapped class each execution makes the statement anew.
_TABLE = Row.metadata.tables[Row.__tablename__]
_REMOVED = delete(_TABLE).where(_TABLE.c.scope == bindparam("scope"))
_ADDED = insert(_TABLE)
_CHANGED = update(_TABLE).where(_TABLE.c.scope == bindparam("of_scope"))


class Keep(Enum):
    """Said instead of a password: what is stored stays."""

    STORED = auto()


class Kept(NamedTuple):
    """A stored profile, and its password as it is kept: sealed for the scope."""

    profile: SmtpProfile
    password: bytes | None


class SeenBy(NamedTuple):
    """The user whom a token stands for, and the profile that he asks for, None when it was not set."""

    user: PanelUser
    kept: Kept | None


def _made(row: Sequence[Any]) -> Kept:
    return Kept(SmtpProfile(**dict(zip(_COLUMNS, row, strict=False))), row[-1])


_WHOLE = tuple(_TABLE.c[name] for name in (*_COLUMNS, "password"))
_OF_SCOPE = _TABLE.c.scope == bindparam("scope")
_FOUND: Question[Kept] = Question(select(*_WHOLE).where(_OF_SCOPE), _made)
_SEEN_BY: tokens.Holders[SeenBy] = tokens.Holders(
    # No column of a profile that is there is NULL but the password and the mechanism.
    lambda user, row: SeenBy(user, None if row[0] is None else _made(row)),
    lambda of_user: of_user.outerjoin(_TABLE, _OF_SCOPE).add_columns(*_WHOLE),
)


def scope_of_domain(domain_id: int) -> str:
    """The scope of a domain's profile."""
    return f"domain:{domain_id}"


def seal_purpose(scope: str) -> str:
    """What the password of a scope is sealed for."""
    return f"smtp:{scope}"


def found(ports: Ports, scope: str) -> Kept | None:
    """The profile of ``scope``, or None when none was set."""
    with ports.store.reading() as unit:
        return _kept(unit, scope)


def seen_by(ports: Ports, token: str, scope: str, *, kind: str) -> SeenBy:
    """Whom ``token`` stands for (tokens.holder, API keys too), and the profile of ``scope``, in one look-up.

    Raises NotSignedIn.
    """
    return _SEEN_BY.of(ports, token, kind=kind, keys=True, scope=scope)


def _kept(unit: Connection, scope: str) -> Kept | None:
    found = _FOUND.ask(unit, scope=scope)
    return found[0] if found else None


def change(
    ports: Ports,
    act: Act,
    scope: str,
    put: Callable[[SmtpProfile], SmtpProfile],
    password: str | Keep | None,
    *,
    subject: str,
) -> SmtpProfile:
    """Replace the profile of ``scope`` by what ``put`` makes of it (of the empty one when there is none).

    ``password`` None removes the stored one. One transaction: two changes at once both take effect. ``subject`` is what
    the audit trail calls what was changed. Returns the new profile. Raises vault.seals.CannotOpen without a usable key.
    """
    sealed = None
    if isinstance(password, str):
        sealed = ports.seals.seal(seal_purpose(scope), password.encode("utf-8", "surrogatepass"))
    with ports.store.writing() as unit:
        profile = write(unit, scope, put, Keep.STORED if password is Keep.STORED else sealed)
        audit.done(unit, act, subject)
    return profile


def write(
    unit: Connection,
    scope: str,
    put: Callable[[SmtpProfile], SmtpProfile],
    sealed: bytes | Keep | None,
    *,
    domain_id: int | None = None,
) -> SmtpProfile:
    """As ``change``, within a transaction of the caller's, with a password that is sealed already."""
    kept = _kept(unit, scope)
    profile = put(SmtpProfile() if kept is None else kept.profile)
    values: dict[str, Any] = {name: getattr(profile, name) for name in _COLUMNS}
    if not isinstance(sealed, Keep):
        values["password"] = sealed
    if kept is None and profile == SmtpProfile() and values.get("password") is None:
        # Nothing was said, so nothing is stored.
        return profile
    if kept is None:
        unit.execute(_ADDED, {"scope": scope, "domain_id": domain_id, "password": None} | values)
    else:
        unit.execute(_CHANGED, {"of_scope": scope} | values)
    return profile


def clear(ports: Ports, act: Act, scope: str, *, subject: str) -> bool:
    """Forget the profile of ``scope`` and its password. Whether there was one."""
    with ports.store.writing() as unit:
        there = remove(unit, scope)
        audit.done(unit, act, subject)
    return there


def remove(unit: Connection, scope: str) -> bool:
    """As ``clear``, within a transaction of the caller's."""
    return unit.execute(_REMOVED, {"scope": scope}).rowcount > 0


def effective(ports: Ports, *, domain: str | None = None) -> tuple[str, Kept] | None:
    """The scope and the profile that mailsvc's own mail goes out through: the domain's, else the portal's, else the
    installation's. None when none names a host: then the local mail server takes it.
    """
    with ports.store.reading() as unit:
        of_domain = unit.scalar(_OF_DOMAIN, {"name": domain}) if domain is not None else None
        for scope in filter(None, (of_domain, PORTAL, INSTALLATION)):
            kept = _kept(unit, scope)
            if kept is not None and kept.profile.host:
                return scope, kept
    return None


def route(ports: Ports, scope: str, kept: Kept, limits: Limits = Limits()) -> Route:  # noqa: B008 - it never changes
    """The way that a stored profile describes. Raises vault.seals.CannotOpen when its password does not open."""
    password = None
    if kept.password is not None and kept.profile.username:
        password = ports.seals.open(seal_purpose(scope), kept.password).decode("utf-8", "surrogatepass")
    return Route(
        profile=kept.profile,
        password=password,
        ehlo_name=ports.settings.hostname,
        verify=kept.profile.verify and not ports.settings.allow_invalid_certs,
        limits=limits,
    )
