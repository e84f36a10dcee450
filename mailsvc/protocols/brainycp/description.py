"""This dialect in OpenAPI's words: every row of the operation table, with its codes and texts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mailsvc.protocols.brainycp.operations import BROKEN, MODULE, NOT_SIGNED_IN, OPERATIONS, REFUSED_METHOD, UNREADABLE
from mailsvc.protocols.brainycp.outcomes import EN, RU, Operation, Outcome
from mailsvc.protocols.description import FORM, Answer, Description, Endpoint

SAMPLE: dict[str, object] = {
    "email": "info@example.com",
    "source": "sales@example.com",
    "target": "a@b.example,c@d.example",
    "domain": "example.com",
    "name": "alice",
    "user": "nobody",
    "limit": 100,
}
"""What stands for the facts in the texts of examples."""

LISTS: Mapping[str, Any] = {
    "data": {"type": "array", "items": {}},
    "boxes": {"type": "array", "items": {"type": "object"}},
}

WHO: Mapping[str, Any] = {
    "login": {"type": "string", "description": "Panel user; `username` means the same."},
    "pass": {"type": "string", "description": "His password; without it the first `password` is taken."},
    "panel_user": {"type": "string", "description": "Whom it is done for: root may name anybody."},
    "language": {"type": "string", "enum": [RU, EN], "description": "Of the texts; Russian unless said."},
}

REQUEST = {
    "addmail": {"email": "info@example.com", "password": "Box-1", "quota": "1024"},
    "delmail": {"email": "info@example.com"},
    "addforward": {"source": "sales@example.com", "target": "a@b.example,c@d.example", "save_local": "1"},
    "delforward": {"source": "sales@example.com", "target": "a@b.example"},
}
"""Fields of the examples; those of the operations that read one domain are alike."""


def describe() -> Description:
    """The dialect as it is."""
    return Description(
        title="BrainyCP forms",
        text=(
            "Form posts to `/api/api.php` (operation named by a field, `module=mailclient`, `subdo=...`) or to "
            "`/mailclient/<operation>`. Business results are HTTP 200 with a numeric code."
        ),
        endpoints=list(_endpoints()),
        schemes={"basic": {"type": "http", "scheme": "basic"}},
    )


def _endpoints() -> Iterator[Endpoint]:
    for operation in OPERATIONS.values():
        yield _endpoint(operation, f"/{MODULE}/{operation.name}", "post")
        if not operation.writes:
            yield _endpoint(operation, f"/{MODULE}/{operation.name}", "get")
    for method in ("post", "get"):
        yield Endpoint(
            path="/api/api.php",
            method=method,
            name=f"api_{method}",
            summary="Any operation, named by fields" if method == "post" else "Check credentials, or list",
            description="The fields are those of the operation; without one, good credentials get an empty answer.",
            also_reads={"module": {"type": "string"}, "subdo": {"type": "string", "enum": [*OPERATIONS]}, **WHO},
            media=(FORM, "multipart/form-data"),
            parameters=_in_query({"module": {}, "subdo": {}, **WHO}) if method == "get" else (),
            answers=[
                Answer(200, "The operation's own answer; nothing for good credentials alone.", shape=_shape(())),
                Answer(200, "Good credentials.", {"nothing": ""}, {"type": "string"}, media="text/plain"),
                *_outside(),
            ],
            security=("", "basic"),
        )


def _endpoint(operation: Operation, path: str, method: str) -> Endpoint:
    reading = method == "get"
    return Endpoint(
        path=path,
        method=method,
        name=operation.name if method == "post" else f"{operation.name}_get",
        summary=operation.handler.__doc__ or operation.name,
        description=_codes(operation),
        reads=None if reading else operation.schema,
        also_reads={} if reading else WHO,
        media=(FORM, "multipart/form-data"),
        example=None if reading else _example(operation),
        parameters=_in_query(WHO) if reading else (),
        answers=[*_answers(operation), *_outside()],
        security=("", "basic"),
    )


def _in_query(fields: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [{"name": name, "in": "query", "schema": {"type": "string"} | dict(facts)} for name, facts in fields.items()]


def _example(operation: Operation) -> Mapping[str, str]:
    own = REQUEST.get(operation.name, {"domain": "example.com"} if operation.schema.fields else {})
    return {"login": "alice", "pass": "Panel-1", "language": EN, **own}


def _codes(operation: Operation) -> str:
    return "\n".join(f"* {o.code}: {o.say(EN, SAMPLE)}" for o in _distinct(operation))


def _distinct(operation: Operation) -> Sequence[Outcome]:
    return list({(o.code, o.say(EN, SAMPLE)): o for o in (*operation.outcomes, NOT_SIGNED_IN)}.values())


def _answers(operation: Operation) -> Iterator[Answer]:
    by_status: dict[int, dict[str, Any]] = {}
    for outcome in _distinct(operation):
        for language in (EN, RU):
            examples = by_status.setdefault(outcome.status, {})
            name = f"{outcome.code} {language}"
            other = f"{name} {outcome.why.__name__}" if outcome.why is not None else name
            examples[other if name in examples else name] = _body(outcome, language, operation.members)
    for status, examples in by_status.items():
        yield Answer(status, "Code and text of the outcome.", examples, _shape(operation.members))


def _body(outcome: Outcome, language: str, members: Sequence[str]) -> Mapping[str, Any]:
    text = outcome.say(language, SAMPLE)
    lists: Mapping[str, Any] = {name: [] for name in members} if outcome.empty else {}
    return {"error": outcome.code, "mess": text, "code": outcome.code, "message": text, **lists}


def _shape(members: Sequence[str]) -> Mapping[str, Any]:
    four = {name: {"type": "integer" if name in ("error", "code") else "string"} for name in _FOUR}
    return {"type": "object", "required": [*_FOUR], "properties": four | {name: LISTS[name] for name in members}}


_FOUR = ("error", "mess", "code", "message")


def _outside() -> Sequence[Answer]:
    return [
        Answer(400, "A body that ends too early or cannot be read.", {"2": _body(UNREADABLE, RU, ())}, _shape(())),
        Answer(405, "A method that does not fit.", {"2": _body(REFUSED_METHOD, EN, ())}, _shape(()),
               headers={"Allow": "The methods that do."}),
        Answer(413, "A body over 1 MiB, or over a thousand fields.", {"2": _body(UNREADABLE, RU, ())}, _shape(())),
        Answer(500, "Our own failure.", {"3": _body(BROKEN, RU, ())}, _shape(())),
    ]  # fmt: skip
