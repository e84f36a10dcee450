"""How the collection of external accounts gets on, for the administrator."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from mailsvc.core.refusals import NoSuchAccount
from mailsvc.core.texts import is_clean
from mailsvc.services.ports import Ports
from mailsvc.store.models import ExternalAccount as Row
from mailsvc.store.models import PanelUser

_LISTED = (
    select(
        Row.id,
        PanelUser.name.label("owner"),
        Row.email,
        Row.protocol,
        Row.server,
        Row.enabled,
        Row.auth_error,
        Row.quota_error,
        Row.visited_at,
        Row.collected,
        Row.last_error,
        Row.deliver_to,
        Row.next_visit_at,
        Row.failing_since,
        Row.begin_at,
        Row.created_at,
    )
    .join(PanelUser, PanelUser.id == Row.user_id)
    .order_by(Row.id)
)
_OF_ADDRESS = _LISTED.where(Row.email == bindparam("email"))


class Progress(NamedTuple):
    """An account in a list. Times are UTC, ISO 8601; None where there is nothing yet."""

    id: int
    user: str
    email: str
    protocol: str
    server: str
    enabled: bool
    last_visit: str | None
    collected: int
    last_error: str | None


class Details(NamedTuple):
    """All there is to know of an account, but for its passwords."""

    id: int
    user: str
    email: str
    protocol: str
    server: str
    deliver_to: str
    enabled: bool
    auth_error: bool
    quota_error: bool
    failing_since: str | None
    begin_date: str | None
    created: str | None
    last_visit: str | None
    next_visit: str | None
    collected: int
    last_error: str | None


def listed(ports: Ports) -> Sequence[Progress]:
    """All accounts of all users, by number."""
    with ports.store.reading() as unit:
        return [
            Progress(
                row.id, row.owner, row.email, row.protocol, row.server, row.enabled, _shown(row.visited_at),
                row.collected, row.last_error,
            )
            for row in unit.execute(_LISTED)
        ]  # fmt: skip


def of_address(ports: Ports, *, email: str) -> Sequence[Details]:
    """Every account of that address: several users may have connected it. Raises NoSuchAccount."""
    # No account can have such an address, and a database cannot even compare some of them.
    if not is_clean(email):
        raise NoSuchAccount(email=email)
    with ports.store.reading() as unit:
        rows = unit.execute(_OF_ADDRESS, {"email": email.lower()}).all()
    if not rows:
        raise NoSuchAccount(email=email)
    return [
        Details(
            row.id, row.owner, row.email, row.protocol, row.server, row.deliver_to, row.enabled, row.auth_error,
            row.quota_error, _shown(row.failing_since), _shown(row.begin_at), _shown(row.created_at),
            _shown(row.visited_at), _shown(row.next_visit_at), row.collected, row.last_error,
        )
        for row in rows
    ]  # fmt: skip


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
