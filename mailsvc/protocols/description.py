"""What a dialect says of itself for the OpenAPI document: made from its operation table, never written twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered with one HTTP status. ``examples`` are bodies by name; without ``media`` the body is empty.

    ``shape`` is a JSON Schema of the body; ``headers`` describes headers of its own, by name.
    """

    status: int
    description: str
    examples: Mapping[str, Any] = field(default_factory=dict)
    shape: Json | None = None
    media: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path.

    ``name`` is unique within the dialect. ``reads`` is what the body is read with, in any of ``media``; ``parameters``
    are OpenAPI parameter objects of path, query and headers; ``security`` names alternatives among the dialect's
    schemes, an empty one being "none needed".
    """

    path: str
    method: str
    name: str
    summary: str
    answers: Sequence[Answer]
    description: str = ""
    reads: type[Schema] | Schema | None = None
    also_reads: Json = field(default_factory=dict)
    """JSON Schema properties beside those of ``reads``."""
    media: Sequence[str] = (JSON,)
    example: Any = None
    body_required: bool = False
    parameters: Sequence[Json] = ()
    security: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """A dialect: ``title`` for people, its endpoints, and its security schemes (OpenAPI security scheme objects)."""

    title: str
    text: str
    endpoints: Sequence[Endpoint]
    schemes: Mapping[str, Json] = field(default_factory=dict)
