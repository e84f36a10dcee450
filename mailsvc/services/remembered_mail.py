"""What has been collected from an external account: remembered, so that no message is delivered twice."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam, insert, select, update

from mailsvc.services.ports import Ports
from mailsvc.store.models import CollectedMessage, CollectedSource
from mailsvc.store.questions import Change, Question

DELIVERED = "delivered"
KNOWN = "known"
OWN = "own"
REFUSED = "refused"
TOO_LARGE = "too_large"
TOO_OLD = "too_old"

_SOURCE = select(CollectedSource.__table__).where(
    CollectedSource.account_id == bindparam("account"), CollectedSource.identity == bindparam("identity")
)
_UIDS = select(CollectedMessage.uid).where(
    CollectedMessage.source_id == bindparam("source"), CollectedMessage.uid > bindparam("above")
)
_KEYS = select(CollectedMessage.key, CollectedMessage.outcome, CollectedMessage.dated_at).where(
    CollectedMessage.source_id == bindparam("source")
)
_KEY = (CollectedMessage.source_id == bindparam("of_source"), CollectedMessage.key == bindparam("of_key"))
_FORGET = sa.delete(CollectedMessage).where(*_KEY)
_INSERT = insert(CollectedMessage)
_FORGOTTEN = Change(_FORGET)
_ADDED = Change(_INSERT, ("source_id", "key", "uid", "content", "outcome", "dated_at"))
_MARKED = Change(
    update(CollectedSource)
    .where(CollectedSource.id == bindparam("which"))
    .values(scanned_uid=bindparam("uid"), recorded_uid=bindparam("recorded"), scanned_begin=bindparam("begin"))
)


class Remembered(NamedTuple):
    """A message with the same bytes."""

    source_id: int
    key: bytes
    uid: int | None


_SAME = Question(
    select(CollectedMessage.source_id, CollectedMessage.key, CollectedMessage.uid)
    .join(CollectedSource, CollectedSource.id == CollectedMessage.source_id)
    .where(CollectedMessage.content == bindparam("content"), CollectedSource.account_id == bindparam("account")),
    Remembered._make,
)


@dataclass(slots=True)
class Source:
    """A folder of an account, and how far it has been looked through: never beyond ``wanted_uid``, which is to come."""

    id: int
    text: str
    scanned_uid: int
    recorded_uid: int
    scanned_begin: datetime | None
    wanted_uid: int | None = None

    def wait_for(self, uid: int) -> None:
        """From now on count nothing from ``uid`` on as looked through."""
        self.wanted_uid = uid

    def key_of(self, name: str) -> bytes:
        """The digest of the remembered key of the message that the server calls ``name``."""
        return hashlib.sha256(f"{self.text}\0{name}".encode("utf-8", "surrogateescape")).digest()


def source_of(ports: Ports, account: int, *parts: str) -> Source:
    """The source that ``parts`` name: protocol, server, login, and what else tells it from others."""
    text = "\0".join(parts)
    facts = {"account": account, "identity": hashlib.sha256(text.encode()).digest()}
    with ports.store.reading() as unit:
        row = unit.execute(_SOURCE, facts).one_or_none()
    if row is None:
        with ports.store.writing() as unit:
            row = unit.execute(_SOURCE, facts).one_or_none() or _made(unit, facts)
    return Source(row.id, text, row.scanned_uid, row.recorded_uid, row.scanned_begin)


def _made(unit: Connection, facts: dict[str, Any]) -> Any:
    values = {"account_id": facts["account"], "identity": facts["identity"], "scanned_uid": 0, "recorded_uid": 0}
    unit.execute(insert(CollectedSource), values | {"scanned_begin": None})
    return unit.execute(_SOURCE, facts).one()


def uids_beyond(ports: Ports, source: Source) -> set[int]:
    """The UIDs above ``scanned_uid`` that are remembered: there are some after ``scan_again``."""
    if source.recorded_uid <= source.scanned_uid:
        return set()
    with ports.store.reading() as unit:
        return set(unit.scalars(_UIDS, {"source": source.id, "above": source.scanned_uid}))


def keys(ports: Ports, source: Source, begin: datetime) -> set[bytes]:
    """The keys of all messages that need not be looked at while ``begin`` is the begin date."""
    with ports.store.reading() as unit:
        rows = unit.execute(_KEYS, {"source": source.id})
        return {key for key, outcome, dated in rows if outcome != TOO_OLD or (dated is not None and dated < begin)}


def same_content(ports: Ports, account: int, content: bytes) -> Sequence[Remembered]:
    """What is remembered of the account with these bytes (their SHA-256)."""
    with ports.store.reading() as unit:
        return _SAME.ask(unit, account=account, content=content)


def scan_again(ports: Ports, source: Source) -> None:
    """The begin date was moved back: everything in the folder may matter that is not remembered."""
    source.scanned_uid, source.scanned_begin = 0, None
    with ports.store.writing() as unit:
        _MARKED.make(unit, **_position(source))


def scanned(ports: Ports, source: Source, uid: int, begin: datetime) -> None:
    """Every message up to ``uid`` is remembered, or dated before ``begin``, or is waited for."""
    if uid > source.scanned_uid:
        with ports.store.writing() as unit:
            _mark(unit, source, uid, begin)


def record(
    unit: Connection, source: Source, key: bytes, *, outcome: str, uid: int | None, content: bytes | None,
    begin: datetime,
) -> None:  # fmt: skip
    """Remember a message, and of an IMAP folder that all before it need not be looked at again."""
    if uid is None:
        # It may have been too old before.
        _FORGOTTEN.make(unit, of_source=source.id, of_key=key)
    _ADDED.make(unit, source_id=source.id, key=key, uid=uid, content=content, outcome=outcome, dated_at=None)
    if uid is not None:
        source.recorded_uid = max(source.recorded_uid, uid)
        _mark(unit, source, uid, begin)


def record_old(ports: Ports, source: Source, found: Iterable[tuple[bytes, datetime]]) -> None:
    """Remember messages, by key, that are dated before the begin date."""
    rows = [
        {"source_id": source.id, "key": key, "uid": None, "content": None, "outcome": TOO_OLD, "dated_at": dated}
        for key, dated in found
    ]
    if rows:
        with ports.store.writing() as unit:
            unit.execute(_FORGET, [{"of_source": source.id, "of_key": row["key"]} for row in rows])
            unit.execute(_INSERT, rows)


def _mark(unit: Connection, source: Source, uid: int, begin: datetime) -> None:
    if source.wanted_uid is not None:
        uid = min(uid, source.wanted_uid - 1)
    source.scanned_uid = max(source.scanned_uid, uid)
    source.scanned_begin = max(source.scanned_begin or begin, begin)
    _MARKED.make(unit, **_position(source))


def _position(source: Source) -> dict[str, Any]:
    return {
        "which": source.id,
        "uid": source.scanned_uid,
        "recorded": source.recorded_uid,
        "begin": source.scanned_begin,
    }
