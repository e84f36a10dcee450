"""What has to be there before mailsvc can serve: made when missing, brought up to date when old, refused when newer."""

import logging
import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import func, select

import config
from mailsvc.core.acts import ROOT, Act, PanelUser
from mailsvc.core.refusals import AlreadyExists
from mailsvc.services import installation_id, publication, tokens, users, zones
from mailsvc.services import secrets as sealed
from mailsvc.services.ports import Ports
from mailsvc.store import files, schema
from mailsvc.store.engine import BUSY_SECONDS, once_free
from mailsvc.store.models import PanelUser as Row
from mailsvc.vault.seals import CannotOpen, create_key_file

log = logging.getLogger("mailsvc.startup")

THE_SERVICE = PanelUser(0, "mailsvc", ROOT)
"""On whose behalf the service does what nobody asked it to."""


class CannotStart(Exception):
    """One clear line that says what is in the way."""


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The root user that was just made. ``password`` is None when it came from the settings."""

    password: str | None


def make_data_dir(settings: config.Settings) -> None:
    """Make the data directory (0750) if it is missing. Raises CannotStart when it cannot be written."""
    directory = settings.data_dir
    try:
        if not directory.is_dir():
            directory.mkdir(mode=files.DIRECTORY_MODE, parents=True)
            files.set_mode(directory, files.DIRECTORY_MODE)
        _try_writing(directory)
    except OSError as error:
        raise CannotStart(f"cannot write the data directory {directory}: {error.strerror}") from None


def _try_writing(directory: Path) -> None:
    trial = directory / f".writable-{os.getpid()}"
    trial.touch()
    trial.unlink()


def prepare(app: Flask) -> FirstStart | None:
    """Database, schema, key file, root user and server facts, each made if missing; what a crash left is settled.

    Raises CannotStart. Returns what to tell the administrator if the root user was made just now.
    """
    ports: Ports = app.extensions["mailsvc"]
    _open_database(ports)
    _key_file(ports)
    first = _root_user(ports)
    zones.describe_server(ports)
    installation_id.make(ports)
    for settled in publication.reconcile(ports, at_start=True):
        log.info("reconciled %s: %s", settled.name, settled.failure or "settled")
    tokens.forget_expired(ports)
    ports.store.close()
    if ports.settings.database_file is not None:
        files.make_readable(ports.settings.database_file)
    return first


def _open_database(ports: Ports) -> None:
    file = ports.settings.database_file
    try:
        if file is not None:
            files.make_readable(file)
        with ports.store.reading() as unit:
            found = schema.version(unit)
        schema.refuse_newer(found)
        if file is not None:
            _switch_to_wal(file)
        # Alembic takes a quarter of a second to load: not for nothing.
        if found != schema.HEAD:
            schema.upgrade(ports.store.engine)
    except schema.SchemaTooNew as error:
        raise CannotStart(f"{file or 'the database'} belongs to a newer mailsvc: {error}") from None
    except Exception as error:
        reason = " ".join(str(getattr(error, "orig", error)).split())
        raise CannotStart(f"cannot open {file or 'the database'}: {reason}") from error


def _switch_to_wal(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
        once_free(lambda: connection.execute("PRAGMA journal_mode = WAL"), BUSY_SECONDS)


def _key_file(ports: Ports) -> None:
    try:
        made = create_key_file(ports.settings.key_file)
    except OSError as error:
        raise CannotStart(f"cannot write the key file {ports.settings.key_file}: {error.strerror}") from None
    if made:
        for column, count in sealed.stored(ports).items():
            log.error("made a new %s: %s values of %s were sealed with another one and do not open",
                      ports.settings.key_file, count, column)  # fmt: skip
    else:
        try:
            ports.seals.seal("start", b"")
        except CannotOpen as error:
            raise CannotStart(str(error)) from None
        for column in sealed.foreign(ports):
            log.error("values of %s do not open with the keys of %s", column, ports.settings.key_file)


def _root_user(ports: Ports) -> FirstStart | None:
    with ports.store.reading() as unit:
        if unit.scalar(select(func.count()).select_from(Row)):
            return None
    given = ports.settings.root_password
    password = given or secrets.token_urlsafe(15)
    act = Act("cli", "first start", "mailsvc", THE_SERVICE)
    try:
        users.add(ports, act, name="root", password=password, role=ROOT)
    except AlreadyExists:
        # Another start was first.
        return None
    return FirstStart(None if given else password)
