"""This dialect in OpenAPI's words: every row of the operation table, with its answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mailsvc.protocols.dbvisit.operations import (
    AT_LOGIN,
    EARLY,
    LOGIN_PATH,
    LOGIN_REFUSED,
    LOGOUT_PATH,
    METHOD,
    OPERATIONS,
    SECURITY,
)
from mailsvc.protocols.dbvisit.outcomes import Operation, Outcome
from mailsvc.protocols.description import Answer, Description, Endpoint

SAMPLE: Mapping[str, object] = {"text": "535 5.7.8 Authentication failed"}
"""What stands for the facts in the texts of examples."""

REQUEST: Mapping[str, Mapping[str, Any]] = {
    "edit": {"encryption": "StartTLS", "smtp_host": "smtp.example.com", "smtp_port": 587},
    "test": {"to": "a@b.example"},
}

SHAPE: Mapping[str, Any] = {
    "type": "object",
    "required": ["successful"],
    "properties": {"result": {"type": "object"}, "error": {"type": "object"}, "successful": {"type": "boolean"}},
}
DONE: Mapping[str, Any] = {"Status": 200, "Result": {}}
TEXT = {"type": "string"}


def describe() -> Description:
    """The dialect as it is."""
    return Description(
        title="Dbvisit e-mail settings",
        text=(
            "The installation's SMTP settings, for users of role root. The same calls answer below `/api`. The "
            "password is written, and never shown."
        ),
        endpoints=[*_settings(), *_logins()],
        schemes={
            "basic": {"type": "http", "scheme": "basic"},
            "dbvisitCookie": {"type": "apiKey", "in": "cookie", "name": "dbvisit-standby"},
            "token": {"type": "apiKey", "in": "header", "name": "Authorization"},
        },
    )


def _settings() -> Iterator[Endpoint]:
    for operation in OPERATIONS:
        params = {name: dict(field.metadata) for name, field in operation.schema.fields.items()}
        for path in operation.paths:
            yield Endpoint(
                path=path,
                method=METHOD.lower(),
                name=operation.name if path == operation.paths[0] else f"api_{operation.name}",
                summary=operation.summary,
                also_reads={"params": {"type": ["object", "null"], "properties": params}},
                example={"params": REQUEST.get(operation.name, {})},
                answers=[*_done(operation), *_refused([*EARLY, *operation.outcomes], operation.texts)],
                security=SECURITY,
            )


def _done(operation: Operation) -> Iterator[Answer]:
    yield Answer(200, "Done.", {"done": {"result": dict(operation.example), "successful": True}}, SHAPE)


def _refused(outcomes: Sequence[Outcome], texts: Mapping[str, str]) -> Iterator[Answer]:
    by_status: dict[int, list[str]] = {}
    headers: dict[int, dict[str, str]] = {}
    for outcome in outcomes:
        said = [outcome.say(SAMPLE)] if outcome.text else list(texts.values())
        by_status.setdefault(outcome.status, []).extend(said)
        headers.setdefault(outcome.status, {}).update(outcome.headers)
    for status, said in by_status.items():
        examples = {
            str(place): {"error": {"message": text}, "successful": False}
            for place, text in enumerate(dict.fromkeys(said), 1)
        }
        yield Answer(status, "Refused.", examples, SHAPE, headers=headers[status])


def _logins() -> Iterator[Endpoint]:
    yield Endpoint(
        path=LOGIN_PATH,
        method="post",
        name="login",
        summary="Log in, and be given the cookie",
        also_reads={"UserName": TEXT, "Password": TEXT},
        example={"UserName": "root", "Password": "Root-1"},
        answers=[
            Answer(200, "Logged in.", {"done": DONE}, {"type": "object"}, headers={"Set-Cookie": "dbvisit-standby"}),
            *_refused([LOGIN_REFUSED, *AT_LOGIN], {}),
        ],
    )
    yield Endpoint(
        path=LOGOUT_PATH,
        method="post",
        name="logout",
        summary="End the cookie's login",
        answers=[
            Answer(200, "Logged out, or was not logged in.", {"done": DONE}, {"type": "object"}),
            *_refused(AT_LOGIN, {}),
        ],
    )
