"""Column types that mean the same on SQLite's STRICT tables and on PostgreSQL, so that one set of views serves both."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.processors import int_to_boolean
from sqlalchemy.types import TypeDecorator

Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A row number; on SQLite it must be called INTEGER to be the rowid."""

Words = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text compared and sorted by code point on both engines."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Sealed(TypeDecorator[bytes]):
    """A secret that must be opened again, sealed by mailsvc.vault.seals. ``secrets rotate`` finds these columns by
    their type.
    """

    impl = sa.LargeBinary
    cache_ok = True


class Flag(TypeDecorator[bool]):
    """A truth value, stored as 1 or 0: a view's ``enabled = 1`` then reads the same everywhere."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], bool | None]:
        # Instead of process_result_value: compiled, and lists have many rows.
        processor: Callable[[Any], bool | None] = int_to_boolean
        return processor


ON = sa.literal(True, Flag())
OFF = sa.literal(False, Flag())
"""What a Flag column is compared with: a plain True would be taken for SQL's own, which is no number."""


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, stored as whole milliseconds since 1970."""

    impl = Key
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MILLISECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(milliseconds=value)


def now() -> datetime:
    """The present moment in UTC, cut to milliseconds as the store keeps it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
