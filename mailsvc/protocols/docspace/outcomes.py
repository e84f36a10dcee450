"""The words of the operation table: what a method reads, does, and may answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import Request
from werkzeug.wrappers import Response

from mailsvc.core.acts import Act
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Kept

Reader = Callable[[bytes], Mapping[str, Any]]


class Call(NamedTuple):
    """What a method of the settings is called with: the body as it was read, and the portal's profile (None: there is
    none) as it was when the caller was proved.
    """

    act: Act
    sent: Mapping[str, Any]
    kept: Kept | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer: its HTTP status, when it is given, and its body (None: empty). ``headers`` describes its own."""

    status: int
    when: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the table: one method on one path. ``security`` names what a caller may prove himself with."""

    path: str
    method: str
    name: str
    summary: str
    security: Sequence[str]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Operation):
    """A method for root users. ``read`` turns the body into what ``handler`` is called with; ``has_effect``: it changes
    or sends something, so that it must not be forged, and goes into the audit trail.
    """

    handler: Callable[[Ports, Call], Mapping[str, Any] | None]
    has_effect: bool
    read: Reader | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login(Operation):
    """A method for everybody, about who he is. It gives the whole answer; ``refusal`` is that to what it refuses."""

    answer: Callable[[Ports, Request], Response]
    refusal: Callable[[Exception], Response]
