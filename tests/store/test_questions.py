"""Selects that are turned into SQL once: the same rows, in the same types, as SQLAlchemy gives."""

import sqlite3
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from sqlalchemy import bindparam, select
from sqlalchemy.exc import DBAPIError

from mailsvc.services.ports import Ports
from mailsvc.store.models import LoginBlock, Mailbox, PanelUser
from mailsvc.store.questions import Change, Question
from mailsvc.store.types import ON, now


class Person(NamedTuple):
    name: str
    active: bool
    language: str | None
    created_at: datetime


ACTIVE = select(PanelUser.name, PanelUser.active, PanelUser.language, PanelUser.created_at).order_by(PanelUser.name)
STATEMENTS: list[tuple[Any, dict[str, object]]] = [
    (ACTIVE, {}),
    (ACTIVE.where(PanelUser.active == ON), {}),
    (ACTIVE.where(PanelUser.active == bindparam("active")), {"active": False}),
    (ACTIVE.where(PanelUser.name == bindparam("name")), {"name": "alice"}),
    (ACTIVE.where(PanelUser.name == bindparam("name")), {"name": "'; DROP TABLE panel_user; --"}),
    (ACTIVE.where(PanelUser.name > bindparam("name"), PanelUser.name != bindparam("name")), {"name": "alice"}),
    (ACTIVE.where(PanelUser.created_at <= bindparam("at"), PanelUser.role == "user"), {"at": now()}),
    (ACTIVE.where(PanelUser.created_at <= bindparam("at")), {"at": datetime(1970, 1, 1, tzinfo=UTC)}),
    (ACTIVE.limit(1), {}),
]


@pytest.mark.parametrize(("statement", "values"), STATEMENTS)
def test_the_answer_is_sqlalchemys(ports: Ports, statement: Any, values: dict[str, object]) -> None:
    question = Question(statement, Person._make)
    with ports.store.reading() as unit:
        expected = [Person._make(row) for row in unit.execute(statement, values)]
        for _ in range(2):
            rows = question.ask(unit, **values)
            assert rows == expected
            assert [[type(value) for value in row] for row in rows] == [[type(v) for v in row] for row in expected]


def test_the_values_are_those_of_each_asking(ports: Ports) -> None:
    question = Question(select(PanelUser.name).where(PanelUser.name == bindparam("name")), tuple)
    with ports.store.reading() as unit:
        found = [question.ask(unit, name=name) for name in ("alice", "bob", "nobody")]
    assert found == [[("alice",)], [("bob",)], []]


def test_a_value_that_is_missing_is_not_taken_for_null(ports: Ports) -> None:
    question = Question(select(PanelUser.name).where(PanelUser.name == bindparam("name")), tuple)
    with ports.store.reading() as unit, pytest.raises((KeyError, DBAPIError, sa.exc.StatementError)):
        question.ask(unit)


def test_it_sees_the_latest_commit_and_what_its_own_unit_wrote(ports: Ports) -> None:
    question = Question(select(Mailbox.quota_mib).where(Mailbox.address == bindparam("address")), lambda row: row[0])
    for quota in (7, 8):
        with ports.store.writing() as unit:
            unit.execute(sa.update(Mailbox).values(quota_mib=quota))
            assert question.ask(unit, address="old@example.com") == [quota]
        with ports.store.reading() as unit:
            assert question.ask(unit, address="old@example.com") == [quota]


def test_a_moment_comes_back_as_it_went_in(ports: Ports) -> None:
    until = now()
    question = Question(select(LoginBlock.until).where(LoginBlock.pair == bindparam("pair")), lambda row: row[0])
    with ports.store.writing() as unit:
        unit.execute(sa.insert(LoginBlock), {"pair": "x", "until": until})
    with ports.store.reading() as unit:
        assert question.ask(unit, pair="x") == [until]


def test_after_an_error_the_store_goes_on(ports: Ports) -> None:
    broken: Any = Question(select(sa.func.no_such_function(PanelUser.name)), tuple)
    with pytest.raises(Exception, match="no_such_function"), ports.store.reading() as unit:
        broken.ask(unit)
    with ports.store.reading() as unit:
        assert Question(ACTIVE, Person._make).ask(unit)


def test_a_change_is_made_as_often_as_it_is_asked_for(ports: Ports) -> None:
    added = Change(sa.insert(LoginBlock), ("pair", "until"))
    moved = Change(sa.update(LoginBlock).where(LoginBlock.pair == bindparam("of")).values(until=bindparam("until")))
    removed = Change(sa.delete(LoginBlock).where(LoginBlock.until <= bindparam("moment")))
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    with ports.store.writing() as unit:
        for pair in ("a", "b", "c"):
            added.make(unit, pair=pair, until=early)
        assert [moved.make(unit, of=pair, until=late) for pair in ("b", "nobody")] == [1, 0]
        assert removed.make(unit, moment=early) == 2
    with ports.store.reading() as unit:
        assert unit.execute(select(LoginBlock.pair, LoginBlock.until)).all() == [("b", late)]


def test_a_change_is_undone_with_its_transaction(ports: Ports) -> None:
    added = Change(sa.insert(LoginBlock), ("pair", "until"))
    with pytest.raises(ZeroDivisionError), ports.store.writing() as unit:
        added.make(unit, pair="a", until=now())
        raise ZeroDivisionError
    with ports.store.reading() as unit:
        assert unit.execute(select(LoginBlock.pair)).all() == []


def test_nothing_is_changed_outside_of_a_turn(ports: Ports) -> None:
    removed = Change(sa.delete(LoginBlock).where(LoginBlock.pair == bindparam("of")))
    if ports.settings.database_file is None:
        return
    with ports.store.reading() as unit, pytest.raises(sqlite3.OperationalError, match="readonly"):
        removed.make(unit, of="a")
