"""What a command works with: the ports, and an Act in the name of whoever sits at the terminal."""

import getpass
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
from flask import Flask

import config
from mailsvc.core.acts import ROOT, Act, PanelUser
from mailsvc.core.refusals import BadInput, Refusal
from mailsvc.core.texts import cleaned
from mailsvc.observation import logs
from mailsvc.services import audit
from mailsvc.services.ports import Ports, open_ports
from mailsvc.store import files, schema


class CannotOpen(Exception):
    """There is no database that this command could work on."""


SUBJECT_SHOWN = 320

ADMINISTRATOR = PanelUser(0, "administrator", ROOT)
"""Whoever can run this can read the database: every domain is within his scope."""


@contextmanager
def opened(
    *, whatever_version: bool = False, threads: int | None = None, level: int = logging.ERROR
) -> Iterator[Ports]:
    """The ports on an existing database, of this mailsvc's schema unless any will do. Raises CannotOpen.

    ``threads`` is how many will use them at once, where that is not what the settings say; ``level`` what is logged.
    """
    settings = config.load()
    if threads is not None:
        settings = replace(settings, threads=threads)
    logs.set_up(settings.log_format, level)
    _refuse_missing(settings)
    ports = open_ports(Flask("mailsvc"), settings)
    try:
        if not whatever_version:
            _refuse_other_version(ports)
        yield ports
    finally:
        ports.store.close()
        if settings.database_file is not None:
            files.make_readable(settings.database_file)


def _refuse_missing(settings: config.Settings) -> None:
    file = settings.database_file
    if file is None:
        return
    try:
        with file.open("rb"):
            pass
    except FileNotFoundError:
        raise CannotOpen(f"there is no database {file} yet: `serve` makes it at its first start") from None
    except OSError as error:
        raise CannotOpen(f"cannot open {file}: {error.strerror}") from None


def _refuse_other_version(ports: Ports) -> None:
    try:
        with ports.store.reading() as unit:
            found = schema.version(unit)
    except Exception as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise CannotOpen(f"the database does not answer: {reason}") from error
    if found != schema.HEAD:
        raise CannotOpen(
            f"the database is at schema version {found}, this mailsvc needs {schema.HEAD}: "
            "`serve` brings an older one up"
        )


@contextmanager
def acting(operation: str, subject: str) -> Iterator[tuple[Ports, Act]]:
    """The ports, and the Act of ``operation`` on ``subject``; its refusal goes on record too."""
    with opened() as ports:
        act = Act("cli", operation, f"cli:{_whoever()}", ADMINISTRATOR)
        try:
            yield ports, act
        except Refusal as refusal:
            # What did not even have the right form may be anything, also a secret in the wrong place.
            audit.refused(
                ports,
                act,
                "" if isinstance(refusal, BadInput) else cleaned(subject, SUBJECT_SHOWN),
                outcome=type(refusal).__name__,
                code=1,
            )
            raise


def _whoever() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def password_option(command: Any) -> Any:
    """``--password-stdin``; without it the password is asked for on the terminal."""
    return click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")(command)


def json_option(command: Any) -> Any:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def password_from(stdin: bool) -> str:
    """The password, from the first line of standard input or from a prompt; never from the command line."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("standard input is not a terminal: give the password with --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


def show(rows: Sequence[Any], as_json: bool) -> None:
    """Print ``rows`` (NamedTuples) as a table with their field names for a head, or as a JSON list."""
    records = [row._asdict() for row in rows]
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False, indent=2, default=_cell))
    elif records:
        _table([list(records[0]), *([_cell(value) for value in record.values()] for record in records)])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _table(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
