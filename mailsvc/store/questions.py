"""Statements of every request, turned into SQL once.

SQLAlchemy finds the SQL of a statement again at each execution and makes some thirty objects around it, which takes
ten times as long as SQLite does for an indexed look-up: docs/performance.md has the figures.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import BindParameter, Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect

Row = TypeVar("Row")

Processor = Callable[[Any], Any]


class _Sql(NamedTuple):
    """A statement as the driver takes it: its text, what its parameters are made of, and which columns need work."""

    text: str
    parameters: Sequence[Callable[[Mapping[str, Any]], Any]]
    columns: Sequence[tuple[int, Processor]]


class Question(Generic[Row]):
    """A select whose rows are made by ``row`` of the values of its columns, in their order."""

    def __init__(self, statement: Select[*tuple[Any, ...]], row: Callable[[Sequence[Any]], Row]) -> None:
        self._statement = statement
        self._row = row
        self._sql: _Sql | None = None

    def ask(self, unit: Connection, **values: object) -> list[Row]:
        """The rows for these values of the statement's parameters, as any unit sees them.

        Raises SQLAlchemy's or the driver's own errors.
        """
        if unit.dialect.name != "sqlite":
            return [self._row(row) for row in unit.execute(self._statement, values)]
        sql = self._sql = self._sql or _sql_of(self._statement, unit.dialect)
        driver: Any = unit.connection.dbapi_connection
        found = driver.execute(sql.text, [parameter(values) for parameter in sql.parameters]).fetchall()
        return [self._row(_processed(row, sql.columns)) for row in found]


class Change:
    """An insert, update or delete. ``columns`` are those that an insert without values of its own is given."""

    def __init__(self, statement: Insert | Update | Delete, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._sql: _Sql | None = None

    def make(self, unit: Connection, **values: object) -> int:
        """Make it, within the unit's transaction. The number of rows that an update or a delete was made in.

        Raises SQLAlchemy's or the driver's own errors.
        """
        if unit.dialect.name != "sqlite":
            return unit.execute(self._statement, values).rowcount
        sql = self._sql = self._sql or self._compiled(unit.dialect)
        driver: Any = unit.connection.dbapi_connection
        changed: int = driver.execute(sql.text, [parameter(values) for parameter in sql.parameters]).rowcount
        return changed

    def _compiled(self, dialect: Dialect) -> _Sql:
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
        return _Sql(compiled.string, _parameters(compiled, dialect), ())


def _processed(row: Sequence[Any], columns: Sequence[tuple[int, Processor]]) -> Sequence[Any]:
    if not columns:
        return row
    values = list(row)
    for place, process in columns:
        values[place] = process(values[place])
    return values


def _sql_of(statement: Select[*tuple[Any, ...]], dialect: Dialect) -> _Sql:
    compiled: Any = statement.compile(dialect=dialect)
    columns = [
        (place, process)
        for place, column in enumerate(statement.selected_columns)
        if (process := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
    ]
    return _Sql(compiled.string, _parameters(compiled, dialect), columns)


def _parameters(compiled: Any, dialect: Dialect) -> Sequence[Callable[[Mapping[str, Any]], Any]]:
    return [_parameter(compiled.binds[name], dialect) for name in compiled.positiontup]


def _parameter(bind: BindParameter[Any], dialect: Dialect) -> Callable[[Mapping[str, Any]], Any]:
    """What gives the value that the driver is sent, of the values asked with or of the statement's own."""
    process = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if not bind.required:
        constant = bind.effective_value if process is None else process(bind.effective_value)
        return lambda _values: constant
    name = bind.key
    if process is None:
        return itemgetter(name)
    return lambda values: process(values[name])
