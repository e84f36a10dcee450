"""What a database itself says about its schema and its rows, in a form that can be compared."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

VERSION_TABLE = "alembic_version"
"""Alembic's own, which no model describes."""

Facts = dict[str, Any]


def tables(connection: Connection) -> dict[str, Facts]:
    """Every table but Alembic's: columns, constraints by kind, indexes with their conditions, and options."""
    inspector = sa.inspect(connection)
    names = set(inspector.get_table_names()) - {VERSION_TABLE}
    return {name: _table(inspector, connection, name) for name in sorted(names)}


def _table(inspector: sa.Inspector, connection: Connection, name: str) -> Facts:
    return {
        "columns": {column["name"]: _column(connection, column) for column in inspector.get_columns(name)},
        "primary key": inspector.get_pk_constraint(name),
        "foreign keys": _by_name(inspector.get_foreign_keys(name)),
        "unique": _by_name(inspector.get_unique_constraints(name)),
        "checks": _by_name(inspector.get_check_constraints(name)),
        "indexes": _by_name(inspector.get_indexes(name)),
        "options": inspector.get_table_options(name),
    }


def _column(connection: Connection, column: Any) -> tuple[str, bool, str | None]:
    return column["type"].compile(connection.dialect), column["nullable"], column["default"]


def _by_name(reflected: Any) -> Facts:
    # A condition is reflected as a text clause, and two of the same text are not equal.
    return {entry["name"]: {key: _plain(value) for key, value in entry.items()} for entry in reflected}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return str(value) if isinstance(value, sa.TextClause) else value


def views(connection: Connection) -> dict[str, tuple[str | None, list[str]]]:
    """Every view: its definition and its columns, in their order."""
    inspector = sa.inspect(connection)
    return {
        name: (inspector.get_view_definition(name), [column["name"] for column in inspector.get_columns(name)])
        for name in sorted(inspector.get_view_names())
    }


def rows(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, Alembic's too."""
    names = sorted(sa.inspect(connection).get_table_names())
    return {name: sorted(map(tuple, connection.execute(sa.text(f"SELECT * FROM {name}"))), key=repr) for name in names}
