"""The words of the operation table: outcomes, operations, and what a handler gets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.refusals import Refusal
from mailsvc.services.ports import Ports
from mailsvc.services.settings_documents import Login

Body = Mapping[str, Any]


class NotProven(Refusal):
    """The credentials of a call do not hold. Fact: ``info``, what this wire says of them."""


class CannotSend(Refusal):
    """The test message was not handed in. Facts: ``info`` and ``code``, as this wire says it."""


@dataclass(slots=True)
class Call:
    """What a handler works with.

    ``wanted`` is the domain that the query names, canonical where it can be, None where it names none; ``subject`` what
    the audit trail calls the domain, empty until it is known; ``to`` the recipients that the path names.
    """

    act: Act
    login: Login
    address: str
    token: str
    key: str
    expires: int
    wanted: str | None
    body: Any
    to: str
    subject: str = ""

    @property
    def user(self) -> PanelUser:
        return self.act.acting

    @property
    def members(self) -> dict[str, Any]:
        """The members of the body; none when it is not an object."""
        return self.body if isinstance(self.body, dict) else {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is answered when ``why`` happens: a refusal, None for success, ``Exception`` for our own failure.

    ``body`` is the answer, or for success an example of it; ``{name}`` in its texts is filled in with a fact.
    """

    status: int
    why: type[Exception] | None
    body: Body
    description: str

    def say(self, facts: Mapping[str, object]) -> Body:
        """The answer with its facts. A member that is nothing but a fact is left out when that is None."""
        said = {name: _filled(value, facts) for name, value in self.body.items()}
        return {name: value for name, value in said.items() if value is not None}


def _filled(value: object, facts: Mapping[str, object]) -> object:
    if not isinstance(value, str):
        return value
    return facts[value[1:-1]] if value[1:-1] in facts else value.format_map(facts)


def error(status: int, why: type[Exception], info: str, code: str | int | None = None) -> Outcome:
    """An outcome in the usual shape of errors."""
    body: dict[str, Any] = {"status": "error", "info": info}
    return Outcome(status, why, body if code is None else body | {"code": code}, why.__doc__ or "")


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table. ``path`` is a template; ``query`` names the fields of the query string; ``security`` the
    credentials, all of which are needed. ``writes``: it leaves an audit entry.

    The first outcome is that of success. A refusal is answered by the first outcome whose ``why`` it is an instance of,
    so the last one, our own failure, takes whatever has no row of its own.
    """

    name: str
    method: str
    path: str
    handler: Callable[[Ports, Call], bytes]
    schema: Schema | None
    summary: str
    outcomes: Sequence[Outcome]
    query: tuple[str, ...] = ()
    security: tuple[str, ...] = ("X-Key", "X-Access-Token")
    writes: bool = False

    def outcome_of(self, error: Exception) -> Outcome:
        return next(o for o in self.outcomes if o.why is not None and isinstance(error, o.why))
