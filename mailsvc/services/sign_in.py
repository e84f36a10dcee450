"""Proving who calls, by user name and password; the same for every dialect."""

import logging
from typing import Any

from sqlalchemy import bindparam, select
from werkzeug.datastructures import Authorization

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn, TooOften
from mailsvc.core.texts import cleaned, is_clean
from mailsvc.services import throttle
from mailsvc.services.ports import Ports
from mailsvc.store.models import PanelUser as Row
from mailsvc.store.types import now

Found = Any
"""A row of _USER."""

log = logging.getLogger("mailsvc.sign_in")

_USER = select(
    Row.id, Row.name, Row.role, Row.language, Row.password_hash, Row.active, throttle.BLOCKED_UNTIL.label("blocked")
).where(Row.name == bindparam("name"))


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
    if not name:
        raise _refused(NotSignedIn(), address)
    pair = throttle.pair_of(name, address)
    user = look_up(ports, name, pair)
    if user is not None and user.blocked is not None:
        raise _refused(TooOften(), address)
    if user is not None and user.active and ports.remembered.knows(user.password_hash, password):
        return _signed_in(user)
    return _by_hash(ports, user, password, pair, address)


def look_up(ports: Ports, name: str, pair: str) -> Found | None:
    """The user of that name, active or not, and whether ``pair`` is blocked; None if there is none."""
    # No user can have such a name, and PostgreSQL cannot even compare a text that holds a NUL.
    if not is_clean(name):
        return None
    with ports.store.reading() as unit:
        return unit.execute(_USER, {"name": name, "pair": pair, "now": now()}).one_or_none()


def _by_hash(ports: Ports, user: Found | None, password: str, pair: str, address: str) -> PanelUser:
    stored = ports.passwords.of_nobody if user is None else user.password_hash
    # All within one turn, so that a burst of guesses cannot be checked before the first failures count.
    with ports.passwords.checking() as matches:
        with ports.store.reading() as unit:
            if throttle.is_blocked(unit, pair):
                raise _refused(TooOften(), address)
        if matches(stored, password) and user is not None and user.active:
            ports.remembered.add(stored, password)
            return _signed_in(user)
        with ports.store.writing() as unit:
            throttle.note_failure(unit, pair)
    raise _refused(NotSignedIn(), address)


def _signed_in(user: Found) -> PanelUser:
    return PanelUser(user.id, user.name, user.role, user.language)


def _refused(refusal: NotSignedIn | TooOften, address: str) -> NotSignedIn | TooOften:
    # Never the name: people type passwords into that field.
    how = "blocked" if isinstance(refusal, TooOften) else "failed"
    log.warning("sign-in %s from %s", how, cleaned(address, 64) or "unix")
    return refusal
