"""The views that other programs read, one file of SQL per revision that changed any of them.

Each file holds the whole set as of that revision, in SQL that SQLite and PostgreSQL both take. A migration that
changes a view, or a table under one, drops the old set first and creates the new one last.
"""

import re
from pathlib import Path

from sqlalchemy import Connection

HERE = Path(__file__).parent


def create(connection: Connection, revision: str) -> None:
    """Create every view of ``revision``."""
    for statement in _statements(revision):
        connection.exec_driver_sql(statement)


def drop(connection: Connection, revision: str) -> None:
    """Drop every view of ``revision``."""
    for name in reversed(names(revision)):
        connection.exec_driver_sql(f"DROP VIEW {name}")


def names(revision: str) -> list[str]:
    """The names of the views of ``revision``, in the order of the file."""
    return [re.match(r"CREATE VIEW (\w+)", statement)[1] for statement in _statements(revision)]  # type: ignore[index]


def _statements(revision: str) -> list[str]:
    text = re.sub(r"--.*", "", (HERE / f"{revision}.sql").read_text(encoding="utf-8"))
    # At the end of a line: a text within a statement may have semicolons too.
    return [statement.strip() for statement in re.split(r";\s*$", text, flags=re.MULTILINE) if statement.strip()]
