"""Everything that is looked at, in the order in which one thing depends on another."""

import getpass
import pwd
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from mailsvc.doctor import (
    configuration,
    database_files,
    dovecot,
    name_server,
    postfix,
    programs,
    samples,
    service,
    signer,
)
from mailsvc.doctor.findings import Finding, absent, failed, ok, warning
from mailsvc.doctor.machine import Machine
from mailsvc.doctor.samples import Samples
from mailsvc.mailhost.layout import Layout
from mailsvc.store.schema import HEAD


def examine(machine: Machine) -> Iterator[Finding]:
    """A finding for each check. Changes nothing, on disk or in a server, but the lines in their logs."""
    if machine.layout is None or machine.database is None:
        yield absent("Postfix, Dovecot, PowerDNS", "the rendered configuration reads SQLite, and this is PostgreSQL")
    else:
        if not programs.is_root():
            yield warning("user", f"run as {_name()}, not as each server's own user: ask root for the whole truth")
        yield from configuration.examine(machine, machine.layout)
        yield from _files(machine, machine.database, machine.layout)
        if database_files.can_be_read(machine.database):
            try:
                with samples.opened(machine.database, _reader(machine.database, machine.layout)) as found:
                    yield from _servers(machine, machine.layout, found)
            except sqlite3.Error as error:
                yield failed("database", f"{machine.database} does not answer: {error}", database_files.reopen())
        else:
            yield absent("look-ups", "not tried: first mend the files, which a look-up could make worse")
    yield from service.examine(machine.settings.bind)


def _files(machine: Machine, database: Path, layout: Layout) -> Iterator[Finding]:
    try:
        yield from database_files.examine(machine, database, layout)
    except PermissionError as error:
        yield warning("database files", f"{error.filename} is closed to {_name()}")


def _servers(machine: Machine, layout: Layout, found: Samples) -> Iterator[Finding]:
    version = found.version()
    if version != HEAD:
        cause = f"the database is at schema version {version}, this mailsvc needs {HEAD}"
        yield failed("schema", cause, database_files.START)
        return
    yield ok("schema", f"version {version}")
    yield from postfix.examine(machine, layout, found)
    if programs.is_root():
        yield from dovecot.examine(machine, layout, found)
    else:
        yield warning("Dovecot", "not asked: its configuration names a key that root alone reads")
    yield from signer.examine(layout, found)
    yield from name_server.examine(machine, layout, found)


def _reader(database: Path, layout: Layout) -> str:
    """As whom root opens the database: its owner, or, where that is root himself, a server's user."""
    owner = database.stat().st_uid
    named = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == owner != 0), None)
    return named or (layout.postfix_user if programs.is_known(layout.postfix_user) else "nobody")


def _name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "another user"
