"""What is in the database just now, read as a mail server reads it: through the views, without the right to write.

The connection is kept open for the whole examination. A tool that may write, as the service's own user's may, would
else be the last to close, and SQLite would remove what the other servers need.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from mailsvc.doctor import programs

MANY = 5
"""Records of one kind that are looked at; what holds for some of them holds for all."""


class Mailbox(NamedTuple):
    """A mailbox as Dovecot is to know it."""

    address: str
    incarnation: str
    quota_bytes: int


class Record(NamedTuple):
    """A DNS record, its content as in a zone file."""

    name: str
    type: str
    content: str


class Signing(NamedTuple):
    """Somebody whose mail is to be signed, and the selectors of the keys that sign it."""

    login: str
    domain: str
    selectors: Sequence[str]


class Samples:
    """Questions to the views. Raise sqlite3.Error when they do not answer."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, question: str, *values: object) -> list[tuple[object, ...]]:
        """Every row that answers a question."""
        return self._connection.execute(question, values).fetchall()

    def first(self, question: str, *values: object) -> str | None:
        """The first column of the first row, or None without one."""
        rows = self.rows(question, *values)
        return str(rows[0][0]) if rows else None

    def texts(self, question: str, *values: object) -> set[str]:
        """The first column of every row."""
        return {str(row[0]) for row in self.rows(question, *values)}

    def version(self) -> str | None:
        """The revision of the schema."""
        return self.first("SELECT version_num FROM alembic_version")

    def mailbox(self, *, limited: bool = False) -> Mailbox | None:
        """A mailbox that lets its owner in; with a quota if that is asked."""
        condition = "enabled = 1" + (" AND quota_bytes > 0" if limited else "")
        rows = self._connection.execute(
            f"SELECT address, incarnation, quota_bytes FROM dovecot_user WHERE {condition} LIMIT 1"  # noqa: S608
        ).fetchall()
        return Mailbox(*rows[0]) if rows else None

    def signing(self) -> Signing | None:
        """A login in a domain that has keys which sign."""
        # Of the tables: no view has an index from a domain to its mailboxes.
        rows = self.rows(
            "SELECT m.address, k.domain FROM dkim_signing_key k JOIN domain d ON d.name = k.domain"
            " JOIN mailbox m ON m.domain_id = d.id AND m.enabled = 1 LIMIT 1"
        )
        if not rows:
            return None
        login, domain = map(str, rows[0])
        selectors = self.texts("SELECT selector FROM dkim_signing_key WHERE domain = ?", domain)
        return Signing(login, domain, sorted(selectors))

    def zone_records(self) -> list[Record]:
        """SOA records of some domains, and TXT records of some."""
        records = []
        for kind in ("SOA", "TXT"):
            question = "SELECT name, type, content FROM pdns_record WHERE type = ? AND disabled = 0 LIMIT ?"
            records += [Record(*map(str, row)) for row in self.rows(question, kind, MANY)]
        return records

    def contents(self, name: str, kind: str) -> set[str]:
        """The contents of the records of one name and type."""
        return self.texts("SELECT content FROM pdns_record WHERE name = ? AND type = ? AND disabled = 0", name, kind)


@contextmanager
def opened(database: Path, user: str) -> Iterator[Samples]:
    """The samples of a database that is there with its companions, opened as ``user``. Raises sqlite3.Error."""
    # SQLite, when root opens the companions, gives them the owner and group of the database.
    with programs.acting_as(user):
        connection = _connection(database)
    with closing(connection):
        yield Samples(connection)


def _connection(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        connection.execute("PRAGMA query_only = ON")
        # Only now it has opened all three files, and counts as a reader.
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
