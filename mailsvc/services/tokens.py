"""Logins that go on, and API keys: whoever holds the token is its user.

Tokens are random, shown once, and kept only as SHA-256 digests. A login ends when it expires, is logged out, or when
its user is disabled, removed or gets another password; an API key is an administrator's and ends only by him, or at
the end it was given.
"""

import hashlib
import secrets
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import bindparam, delete, insert, select

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.refusals import BadInput, NothingStored, NotSignedIn
from mailsvc.services import audit, users
from mailsvc.services.ports import Ports
from mailsvc.services.sign_in import Checked
from mailsvc.store.models import ApiKey, LoginSession
from mailsvc.store.models import PanelUser as Row
from mailsvc.store.questions import Question
from mailsvc.store.types import ON, now

WEBITEL = "webitel"
DBVISIT = "dbvisit"
ONLYOFFICE = "onlyoffice"
"""Kinds of logins: each wire issues its own, and says which kinds it takes."""

MOST_DAYS = 36_500

_USER = (Row.id, Row.name, Row.role, Row.language)
_LOGIN: Any = (
    select(*_USER)
    .join(LoginSession, LoginSession.user_id == Row.id)
    .where(
        LoginSession.digest == bindparam("digest"),
        LoginSession.kind == bindparam("kind"),
        LoginSession.expires_at > bindparam("now"),
        Row.active == ON,
    )
    .limit(1)
)
_KEY: Any = (
    select(*_USER)
    .join(ApiKey, ApiKey.user_id == Row.id)
    .where(
        ApiKey.digest == bindparam("key_digest"),
        sa.or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > bindparam("now")),
        Row.active == ON,
    )
)


KEY_LENGTH = 36
"""Of a GUID. No token of a login is so short: new_token."""

Seen = TypeVar("Seen")


class Holders(Generic[Seen]):
    """The active users whom tokens stand for, and with each what ``beside`` adds to the select of him: one look-up.

    ``made`` makes what is seen of the user and the values of the columns that were added.
    """

    def __init__(
        self, made: Callable[[PanelUser, Sequence[Any]], Seen], beside: Callable[[Any], Any] = lambda select: select
    ) -> None:
        def seen(row: Sequence[Any]) -> Seen:
            return made(PanelUser(*row[: len(_USER)]), row[len(_USER) :])

        self._by_token: Question[Seen] = Question(beside(_LOGIN), seen)
        self._by_key: Question[Seen] = Question(beside(_KEY), seen)

    def of(self, ports: Ports, token: str, *, kind: str, keys: bool, **values: object) -> Seen:
        """What is seen of the holder of a login of ``kind``, or with ``keys`` of an API key.

        ``values`` are those of the parameters that were added. Raises NotSignedIn.
        """
        with ports.store.reading() as unit:
            if keys and len(token) == KEY_LENGTH:
                found = self._by_key.ask(unit, key_digest=digest_of(token.upper()), now=now(), **values)
            else:
                found = self._by_token.ask(unit, digest=digest_of(token), kind=kind, now=now(), **values)
        if not found:
            raise NotSignedIn()
        return found[0]


_HOLDERS: Holders[PanelUser] = Holders(lambda user, _: user)

NAMED: Any = (
    select(*_USER, LoginSession.digest)
    .join(LoginSession, LoginSession.user_id == Row.id)
    .where(
        LoginSession.name == bindparam("name"),
        LoginSession.kind == bindparam("kind"),
        LoginSession.expires_at > bindparam("now"),
        Row.active == ON,
    )
)
"""A session by its name, with its user: for what else a wire asks in the same look-up."""

NAMED_COLUMNS = len(NAMED.selected_columns)

_GIVEN = tuple(column for column in LoginSession.__table__.columns if column.name not in ("id", "user_id"))
_BEGUN = (
    insert(LoginSession)
    .from_select(
        ["user_id", *(column.name for column in _GIVEN)],
        select(Row.id, *(bindparam(column.name, type_=column.type) for column in _GIVEN)).where(
            Row.id == bindparam("of_user"), Row.password_hash == bindparam("checked"), Row.active == ON
        ),
    )
    .execution_options(preserve_rowcount=True)
)
_EXPIRED = delete(LoginSession).where(LoginSession.expires_at <= bindparam("now"))
_KEYS = (
    select(ApiKey.id, ApiKey.created_at, ApiKey.expires_at)
    .join(Row, Row.id == ApiKey.user_id)
    .where(Row.name == bindparam("name"))
    .order_by(ApiKey.id)
)


class ListedKey(NamedTuple):
    """An API key as lists show it, without the key; ``expires`` None is never."""

    id: int
    created: str
    expires: str | None


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """32 random bytes in base64url."""
    return secrets.token_urlsafe(32)


def begin(
    ports: Ports, caller: Checked, *, kind: str, token: str, lifetime: timedelta, name: str | None = None
) -> datetime:
    """Let ``token`` stand for the user of ``caller`` for ``lifetime``; what has expired of everybody's is forgotten.

    ``name`` is the public name of the session, where the wire asks for one. Returns when it ends. Raises NotSignedIn
    when the user was disabled or removed, or his password changed, since it was checked: such a change ends his logins,
    and this one must not come after it.
    """
    moment = now()
    values = {
        "of_user": caller.user.id,
        "checked": caller.password_hash,
        "kind": kind,
        "digest": digest_of(token),
        "name": name,
        "created_at": moment,
        "expires_at": moment + lifetime,
    }
    with ports.store.writing() as unit:
        unit.execute(_EXPIRED, {"now": moment})
        if not unit.execute(_BEGUN, values).rowcount:
            raise NotSignedIn()
    return moment + lifetime


def forget_expired(ports: Ports) -> None:
    """Forget every login that has ended by itself."""
    with ports.store.writing() as unit:
        unit.execute(_EXPIRED, {"now": now()})


def holder(ports: Ports, token: str, *, kind: str, keys: bool) -> PanelUser:
    """The active user whom ``token`` stands for: a login of ``kind``, or with ``keys`` an API key.

    Raises NotSignedIn.
    """
    return _HOLDERS.of(ports, token, kind=kind, keys=keys)


def user_of_named(rows: Sequence[Sequence[Any]], token: str) -> PanelUser:
    """The user of the session that NAMED found, if ``token`` is its token. Raises NotSignedIn."""
    if not rows:
        raise NotSignedIn()
    *user, digest = rows[0][:NAMED_COLUMNS]
    if not secrets.compare_digest(digest, digest_of(token)):
        raise NotSignedIn()
    return PanelUser(*user)


def end(ports: Ports, token: str, *, kind: str, name: str | None = None) -> bool:
    """End the login that ``token`` (and ``name``, where it has one) stands for. Whether there was one."""
    ended = delete(LoginSession).where(LoginSession.digest == digest_of(token), LoginSession.kind == kind)
    if name is not None:
        ended = ended.where(LoginSession.name == name)
    with ports.store.writing() as unit:
        return unit.execute(ended).rowcount > 0


def add_key(ports: Ports, act: Act, *, user: str, days: int | None = None) -> str:
    """Make an API key for ``user``, which ends after ``days`` (None: never). Returns it; it is shown nowhere else.

    Raises UnknownUser, BadInput.
    """
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise BadInput(field="days", reason=f"1 to {MOST_DAYS}")
    key, moment = str(uuid.uuid4()).upper(), now()
    row = {
        "digest": digest_of(key),
        "created_at": moment,
        "expires_at": None if days is None else moment + timedelta(days=days),
    }
    with ports.store.writing() as unit:
        unit.execute(insert(ApiKey), row | {"user_id": users.named(unit, user).id})
        audit.done(unit, act, user)
    return key


def keys_of(ports: Ports, *, user: str) -> Sequence[ListedKey]:
    """The API keys of ``user``, oldest first; times in UTC, ISO 8601. Raises UnknownUser."""
    with ports.store.reading() as unit:
        users.named(unit, user)
        rows = unit.execute(_KEYS, {"name": user}).all()
    return [ListedKey(row.id, _shown(row.created_at), row.expires_at and _shown(row.expires_at)) for row in rows]


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def revoke_key(ports: Ports, act: Act, *, number: int) -> None:
    """End an API key at once. Raises NothingStored."""
    with ports.store.writing() as unit:
        if not unit.execute(delete(ApiKey).where(ApiKey.id == number)).rowcount:
            raise NothingStored(key=number)
        audit.done(unit, act, str(number))
