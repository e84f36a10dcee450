"""The words in which migrations say what a table has: column types of both engines, and constraints with their names.

They never change their meaning: what a migration did is history.
"""

import sqlalchemy as sa
from alembic import op

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
STRICT = {"sqlite_strict": True}
KEYED = {"sqlite_strict": True, "sqlite_with_rowid": False}


def words(name: str, *, null: bool = False) -> sa.Column[str]:
    """A text, compared by code point."""
    return sa.Column(name, WORDS, nullable=null)


def number(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[int]:
    """A whole number; also a flag."""
    return sa.Column(name, sa.Integer(), nullable=null, server_default=default and sa.text(default))


def instant(name: str, *, null: bool = False) -> sa.Column[int]:
    """A moment: milliseconds since 1970, UTC."""
    return sa.Column(name, KEY, nullable=null)


def key(name: str, *, null: bool = False) -> sa.Column[int]:
    """A row number that the engine gives, or that refers to one."""
    return sa.Column(name, KEY, nullable=null)


def only_key(name: str) -> sa.Column[int]:
    """A primary key that the engine must not give."""
    return sa.Column(name, KEY, nullable=False, autoincrement=False)


def sealed(name: str, *, null: bool = False) -> sa.Column[bytes]:
    """A sealed secret."""
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    """The primary key."""
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def parent(table: str, column: str, referred: str, on_delete: str = "CASCADE") -> sa.ForeignKeyConstraint:
    """A reference to the ``id`` of another table."""
    name = op.f(f"fk_{table}_{column}_{referred}")
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=name, ondelete=on_delete)


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    """No two rows alike in ``columns``."""
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    """A rule that every row obeys."""
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def flag(table: str, name: str) -> sa.CheckConstraint:
    """A number that is 0 or 1."""
    return check(table, name, f"{name} IN (0, 1)")


def lower(table: str, name: str) -> sa.CheckConstraint:
    """A text without upper-case letters."""
    return check(table, f"{name}_lower", f"{name} = lower({name})")


def index(table: str, *columns: str) -> None:
    """Make an index."""
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def drop_index(table: str, *columns: str) -> None:
    """Drop an index."""
    op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table)
