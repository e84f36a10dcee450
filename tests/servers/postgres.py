"""A private PostgreSQL: its own cluster, reached by a Unix socket only, with no care for the safety of its data."""

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

_NEW_CLUSTER = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")

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
        source = sql.Identifier(template or "template0")
        order: sql.Composable = sql.SQL("")
        if icu_locale is not None:
            order = sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(icu_locale))
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(sql.Identifier(name), source, order))

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

    def _run(self, statement: sql.SQL | sql.Composed) -> None:
        address = self.url("postgres").replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """PostgreSQL on a new, empty cluster, which takes about a second to make: worth one for a whole session."""
    initdb, program = require("initdb", "postgresql"), require("postgres", "postgresql")
    account = Account.unprivileged("postgres", "nobody")  # it refuses to run as root
    with run_directory("postgres", account) as directory:
        data = f"{directory}/data"
        run([initdb, "--pgdata", data, "--username", _USER, *_NEW_CLUSTER], directory, account)
        settings = (f"unix_socket_directories={directory}", "port=5432", "listen_addresses=", *_FAST)
        server = Postgres(directory)
        arguments = [program, "-D", data, *(word for setting in settings for word in ("-c", setting))]
        with running(arguments, directory, server.answers, account=account, stop=signal.SIGQUIT):
            yield server
