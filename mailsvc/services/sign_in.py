"""Proving who calls, by user name and password; the same for every dialect."""

import logging
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam, select
from werkzeug.datastructures import Authorization

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn, TooOften
from mailsvc.core.texts import cleaned, is_clean
from mailsvc.services import throttle
from mailsvc.services.ports import Ports
from mailsvc.store.models import PanelUser as Row
from mailsvc.store.questions import Question
from mailsvc.store.types import now


class Found(NamedTuple):
    """A user by the name that was sent. ``blocked`` is when the block of the pair ends, None if there is none."""

    id: int
    name: str
    role: str
    language: str | None
    password_hash: str
    active: bool
    blocked: datetime | None


class Checked(NamedTuple):
    """An active user whose password was right, and the hash that it was checked against: a login begins on both."""

    user: PanelUser
    password_hash: str


log = logging.getLogger("mailsvc.sign_in")

_USER = Question(
    select(
        Row.id, Row.name, Row.role, Row.language, Row.password_hash, Row.active, throttle.BLOCKED_UNTIL.label("blocked")
    ).where(Row.name == bindparam("name")),
    Found._make,
)
_FOLDED = select(Row.name, Row.folded_name, Row.folded_email).where(
    sa.or_(Row.folded_name == bindparam("folded"), Row.folded_email == bindparam("folded"))
)


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """User name and password of an ``Authorization`` header (RFC 7617), or None if it does not carry them."""
    try:
        sent = Authorization.from_header(header)
    except ValueError:
        # Not even ASCII.
        return None
    if sent is None or sent.type != "basic" or sent.username is None:
        return None
    return sent.username, sent.password or ""


def by_password(ports: Ports, *, name: str, password: str, address: str) -> PanelUser:
    """The active user ``name`` whose password this is. ``address`` is the client's, for the throttle and the log.

    Raises NotSignedIn after the same time for an unknown name, a wrong password and a user who is not active, and
    TooOften for a pair that is blocked. Costs one indexed look-up when the pair was verified within the last minute.
    """
    return checked(ports, name=name, password=password, address=address).user


def checked(ports: Ports, *, name: str, password: str, address: str) -> Checked:
    """As ``by_password``, for a login that shall begin: services.tokens.begin."""
    if not name:
        raise _refused(NotSignedIn(), address)
    pair = throttle.pair_of(name, address)
    user = look_up(ports, name, pair)
    if user is not None and user.blocked is not None:
        raise _refused(_blocked(user.blocked), address)
    if user is not None and user.active and ports.remembered.knows(user.password_hash, password):
        return _signed_in(user)
    return _by_hash(ports, user, password, pair, address)


def name_without_case(ports: Ports, sent: str) -> str:
    """The name of the user whose name or contact e-mail address is ``sent`` without regard to letter case.

    For the dialects that sign in so. An exact name wins, then any name, then an address. What is nobody's, or more than
    one user's, is given back folded, so that spelling it in other ways is no way around the throttle.
    """
    folded = sent.lower()
    if not is_clean(sent):
        return folded
    with ports.store.reading() as unit:
        rows = unit.execute(_FOLDED, {"folded": folded}).all()
    for matching in (
        [row.name for row in rows if row.name == sent],
        [row.name for row in rows if row.folded_name == folded],
        [row.name for row in rows],
    ):
        if len(matching) == 1:
            return str(matching[0])
    return folded


def look_up(ports: Ports, name: str, pair: str) -> Found | None:
    """The user of that name, active or not, and whether ``pair`` is blocked; None if there is none."""
    # No user can have such a name, and PostgreSQL cannot even compare a text that holds a NUL.
    if not is_clean(name):
        return None
    with ports.store.reading() as unit:
        found = _USER.ask(unit, name=name, pair=pair, now=now())
    return found[0] if found else None


def _by_hash(ports: Ports, user: Found | None, password: str, pair: str, address: str) -> Checked:
    stored = ports.passwords.of_nobody if user is None else user.password_hash
    # All within one turn, so that a burst of guesses cannot be checked before the first failures count.
    with ports.passwords.checking() as matches:
        with ports.store.reading() as unit:
            until = throttle.blocked_until(unit, pair)
        if until is not None:
            raise _refused(_blocked(until), address)
        # Others who waited with the same pair need not pay for it again.
        if user is not None and user.active and ports.remembered.knows(stored, password):
            return _signed_in(user)
        if matches(stored, password) and user is not None and user.active:
            ports.remembered.add(stored, password)
            return _signed_in(user)
        with ports.store.writing() as unit:
            throttle.note_failure(unit, pair)
    raise _refused(NotSignedIn(), address)


def _signed_in(user: Found) -> Checked:
    return Checked(PanelUser(user.id, user.name, user.role, user.language), user.password_hash)


def _blocked(until: datetime) -> TooOften:
    return TooOften(seconds=throttle.seconds_until(until))


def _refused(refusal: NotSignedIn | TooOften, address: str) -> NotSignedIn | TooOften:
    # Never the name: people type passwords into that field.
    how = "blocked" if isinstance(refusal, TooOften) else "failed"
    log.warning("sign-in %s from %s", how, cleaned(address, 64) or "unix")
    return refusal
