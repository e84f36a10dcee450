"""This dialect in OpenAPI's words: every row of the operation table, with its answers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from mailsvc.protocols.description import Answer, Description, Endpoint
from mailsvc.protocols.webitel.operations import LOGIN, NOT_FOUND, OPERATIONS, POST, PUT, TEST, TEST_TO
from mailsvc.protocols.webitel.outcomes import Operation, Outcome

SAMPLE: Mapping[str, object] = {
    "info": "Invalid token",
    "code": "EENVELOPE",
    "domain": "d1.example",
    "stored": "566999b271e0c652ea5da98e",
    "sent": "x",
    "path": "/api/v2/email",
}
"""What stands for the facts in the texts of examples."""

REQUEST: Mapping[str, Any] = {
    LOGIN.name: {"username": "alice", "password": "Panel-1"},
    POST.name: {"provider": "smtp", "from": "n@d1.example", "options": {"host": "smtp.d1.example", "port": 465}},
    TEST.name: {"to": "a@b.example"},
}

TEXT = {"type": "string"}
SHAPE: Mapping[str, Any] = {"type": "object"}

UNREADABLE = (
    (400, "Unexpected end of JSON input", "A body that is not JSON, or ends too early."),
    (413, "request entity too large", "A body over 1 MiB."),
    (415, 'unsupported charset "LATIN1"', "A body in another charset than UTF-8, or compressed."),
)


def describe() -> Description:
    """The dialect as it is."""
    names = ("X-Key", "X-Access-Token")
    return Description(
        title="Webitel e-mail settings",
        text=(
            "One JSON document of e-mail settings for each domain. Every path is also there below `/engine`, in any "
            "letter case, and with a trailing slash. Key and token of a login are both needed, as headers, query "
            "fields or members of the body (`x_key`, `access_token`)."
        ),
        endpoints=[_endpoint(operation) for operation in OPERATIONS],
        schemes={name: {"type": "apiKey", "in": "header", "name": name} for name in names},
    )


def _endpoint(operation: Operation) -> Endpoint:
    example = REQUEST.get(PUT.name if operation is PUT else operation.name, REQUEST[POST.name])
    return Endpoint(
        path=operation.path,
        method=operation.method.lower(),
        name=operation.name.replace(" ", "_") + ("_to" if operation is TEST_TO else ""),
        summary=operation.summary,
        reads=operation.schema,
        example=example if operation.schema is not None else None,
        parameters=list(_parameters(operation)),
        answers=list(_answers(operation)),
        security=operation.security[-1:],
    )


def _parameters(operation: Operation) -> Iterator[Mapping[str, Any]]:
    if operation is TEST_TO:
        yield {"name": "to", "in": "path", "required": True, "schema": TEXT, "example": "a@b.example"}
    for name in operation.query:
        yield {"name": name, "in": "query", "schema": TEXT, "example": "d1.example",
               "description": "Needed by root, and by whoever owns several domains."}  # fmt: skip
    if operation.security:
        yield {"name": "X-Key", "in": "header", "schema": TEXT, "description": "The key of the token's login."}


def _answers(operation: Operation) -> Iterator[Answer]:
    def status_of(outcome: Outcome) -> int:
        return outcome.status

    unreadable = [
        Outcome(status, ValueError, {"status": "error", "info": info}, text) for status, info, text in UNREADABLE
    ]
    outcomes: Sequence[Outcome] = [*operation.outcomes, *unreadable, NOT_FOUND]
    for status, group in groupby(sorted(outcomes, key=status_of), key=status_of):
        told = list(group)
        examples = {str(place): one.say(SAMPLE) for place, one in enumerate(told, 1)}
        yield Answer(status, " ".join(dict.fromkeys(one.description.split("\n")[0] for one in told)), examples, SHAPE)
