"""The words of the operation table: texts in two languages, outcomes, operations."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from marshmallow import Schema

from mailsvc.core.acts import Act
from mailsvc.protocols.brainycp.handlers import Members, Sent
from mailsvc.services.ports import Ports

RU = "ru"
EN = "en"


def language_of(sent: str | None) -> str:
    """The language asked for; Russian when it is absent or unknown."""
    return EN if sent is not None and sent.strip().lower() == EN else RU


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages. ``{name}`` is filled in with a fact of that name."""

    en: str
    ru: str

    def say(self, language: str, facts: dict[str, object]) -> str:
        # A failure before the fields were read has no facts yet: its text then simply ends early.
        return (self.en if language == EN else self.ru).format_map(defaultdict(str, facts))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is answered when ``why`` happens: a refusal, None for success, ``Exception`` for our own failure.

    ``reason`` is the text that stands for ``{reason}`` within ``text``; ``empty`` keeps the list members, empty.
    """

    code: int
    why: type[Exception] | None
    text: Text
    reason: Text | None = None
    status: int = 200
    empty: bool = False

    def say(self, language: str, facts: dict[str, object]) -> str:
        if self.reason is not None:
            facts = facts | {"reason": self.reason.say(language, facts)}
        return self.text.say(language, facts)


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table. ``subject`` is the field that names what is worked on; it is empty for the lists, which
    only read.

    The first outcome is that of success. A refusal is answered by the first outcome whose ``why`` it is an instance of,
    so the last one, our own failure, takes whatever has no row of its own.
    """

    name: str
    schema: Schema
    handler: Callable[[Ports, Act, Sent], Members]
    subject: str
    members: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def writes(self) -> bool:
        return bool(self.subject)

    @property
    def success(self) -> Outcome:
        return self.outcomes[0]

    def outcome_of(self, error: Exception) -> Outcome:
        return next(o for o in self.outcomes if o.why is not None and isinstance(error, o.why))
