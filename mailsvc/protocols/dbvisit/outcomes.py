"""The words of the operation table: outcomes, and operations."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

from mailsvc.core.acts import Act
from mailsvc.core.refusals import BadInput
from mailsvc.services.ports import Ports

Sent = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is answered when ``why`` happens: a refusal, or ``Exception`` for our own failure.

    ``{name}`` in ``text`` is filled in with a fact of that name.
    """

    status: int
    why: type[Exception]
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def say(self, facts: Mapping[str, object]) -> str:
        return self.text.format_map(defaultdict(str, facts))


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table.

    ``texts`` says of each parameter what is answered when it is wrong, in the order in which they are looked at; a
    refusal without a text of its own is answered by the first outcome whose ``why`` it is an instance of. ``writes``:
    every call is in the audit trail. ``example`` is a result.
    """

    name: str
    summary: str
    schema: Schema
    handler: Callable[[Ports, Act, Sent], Mapping[str, object]]
    writes: bool
    texts: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    example: Mapping[str, object]

    @property
    def paths(self) -> tuple[str, str]:
        """Where it answers; one trailing slash is accepted too."""
        return f"/email-settings/{self.name}", f"/api/email-settings/{self.name}"

    def answer_to(self, error: Exception, facts: Mapping[str, object]) -> tuple[Outcome, str]:
        """The outcome that ``error`` is, and the text that says so."""
        outcome = next(outcome for outcome in self.outcomes if isinstance(error, outcome.why))
        if isinstance(error, BadInput):
            return outcome, self.texts[str(error.facts["field"])]
        return outcome, outcome.say(facts)
