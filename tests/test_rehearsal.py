"""The rehearsal before the workers are forked: what it makes stays, and nothing else."""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine.interfaces import CacheStats

import config
from mailsvc import rehearsal
from mailsvc.core.addresses import mailbox_address
from mailsvc.observation import metrics
from mailsvc.services import forwards, mailboxes, spf, users
from mailsvc.services.ports import Ports
from mailsvc.store import files
from tests.application import act
from tests.services.callers import found

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def content(settings: config.Settings) -> Sequence[str]:
    """Everything that the database holds."""
    with closing(sqlite3.connect(str(settings.database_file))) as connection:
        return list(connection.iterdump())


def counts() -> Sequence[bytes]:
    """What has been counted of mailsvc itself."""
    return [line for line in metrics.exposed().splitlines() if line.startswith(b"mailsvc_")]


@on_sqlite
def test_it_leaves_no_trace(app: Flask, settings: config.Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mailsvc")
    before, counted = content(settings), counts()
    rehearsal.hold(app)
    assert content(settings) == before
    assert counts() == counted
    assert caplog.messages == []


@on_sqlite
def test_the_mail_servers_can_go_on_reading(app: Flask, settings: config.Settings) -> None:
    database = Path(str(settings.database_file))
    rehearsal.hold(app)
    assert all(file.exists() for file in files.companions(database))


@on_sqlite
def test_the_units_after_it_happen_in_the_database(app: Flask, ports: Ports) -> None:
    rehearsal.hold(app)
    new = mailbox_address("new@example.com")
    mailboxes.add(ports, act(), address=new, password="Box-1", quota_mib=0)
    with ports.store.reading() as unit:
        alice = users.named(unit, "alice")
    ports.store.close()
    assert [box.address for box in mailboxes.listed(ports, alice)] == ["new@example.com", "old@example.com"]


@on_sqlite
def test_statements_need_not_be_made_again(app: Flask, ports: Ports) -> None:
    rehearsal.hold(app)
    made: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool) -> None:
        if context.compiled is not None and context.cache_hit is not CacheStats.CACHE_HIT:
            made.append(statement)

    event.listen(ports.store.engine, "before_cursor_execute", note)
    box = mailbox_address("new@example.com")
    mailboxes.add(ports, act(), address=box, password="Box-1", quota_mib=0)
    forwards.add(ports, act(), source=box, targets=[mailbox_address("old@example.com")])
    spf.enable(ports, act(), domain="example.com")
    assert made == []


@on_sqlite
def test_one_that_fails_keeps_nothing_from_being_served(
    app: Flask, ports: Ports, settings: config.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with ports.store.writing() as unit:
        unit.exec_driver_sql("DROP TABLE login_failure")
    before = content(settings)
    rehearsal.hold(app)
    assert caplog.messages == ["the rehearsal failed: the workers will need more memory"]
    assert content(settings) == before
    mailboxes.add(ports, act(), address=mailbox_address("new@example.com"), password="Box-1", quota_mib=0)
    assert content(settings) != before


@on_postgresql
def test_on_postgresql_there_is_none(app: Flask, ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    before = found(ports, "SELECT count(*), max(id) FROM audit_entry")
    rehearsal.hold(app)
    assert found(ports, "SELECT count(*), max(id) FROM audit_entry") == before
    assert caplog.messages == []
