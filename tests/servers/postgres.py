"""A private PostgreSQL: its own cluster, reached through a Unix socket only, without a care for the safety of its data."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.servers import require
from tests.servers.process import Account, run, run_directory, running

_USER = "mailsvc"

_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=32MB", "max_connections=100")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running PostgreSQL, everybody trusted. Databases order text by code point (C.UTF-8) unless said otherwise."""

    socket_directory: Path

    def url(self, database: str) -> str:
        """``postgresql+psycopg://...`` of a database, as ``MAILSVC_DATABASE_URL`` wants it."""
        return f"postgresql+psycopg://{_USER}@/{quote(database)}?host={quote(str(self.socket_directory), safe='')}"

    def create(self, name: str, template: str | None = None, *, icu_locale: str | None = None) -> None:
        """A new database, a copy of ``template`` (to which nobody may be connected) or an empty one.

        ``icu_locale`` such as ``en-US`` makes text order as that language does: look-ups and lists must not notice.
        Needs PostgreSQL 15; not together with ``template``.
        """
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        if icu_locale is not None:
            statement += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(icu_locale))
        self._run(statement)

    def drop(self, name: str) -> None:
        """Remove a database if it is there, and end the connections to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def answers(self) -> bool:
        """Whether it takes connections by now."""
        try:
            self._run(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: sql.Composable) -> None:
        with psycopg.connect(
            host=str(self.socket_directory), port=5432, user=_USER, dbname="postgres", autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(statement)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """PostgreSQL on a new, empty cluster, which takes about a second to make: worth one for a whole session."""
    initdb, program = require("initdb", "postgresql"), require("postgres", "postgresql")
    account = Account.unprivileged("postgres", "nobody")  # it refuses to run as root
    with run_directory("postgres", account) as directory:
        data = f"{directory}/data"
        run(
            [initdb, "--pgdata", data, "--username", _USER, "--auth=trust", "--no-sync", "--no-instructions"]
            + ["--encoding=UTF8", "--locale=C.UTF-8"],
            directory,
            account,
        )
        settings = (f"unix_socket_directories={directory}", "port=5432", "listen_addresses=", *_FAST)
        server = Postgres(directory)
        arguments = [program, "-D", data, *(word for setting in settings for word in ("-c", setting))]
        with running(arguments, directory, server.answers, account=account, stop=signal.SIGQUIT):
            yield server
