"""This dialect in OpenAPI's words: every row of the operation table, with its answers."""

from collections.abc import Iterator, Mapping
from typing import Any

from mailsvc.protocols import asc_identity
from mailsvc.protocols.description import FORM, JSON, Answer, Description, Endpoint
from mailsvc.protocols.docspace import lens
from mailsvc.protocols.docspace.operations import AUTHENTICATION, OPERATIONS, SAVED, SMTP
from mailsvc.protocols.docspace.outcomes import Login, Operation, Outcome, Setting
from mailsvc.protocols.docspace.schemas import SMTP_SETTINGS

JSON_TYPES = (JSON, "application/*+json", "text/json")

EXAMPLE = {
    name: "{password}" if name == "credentialsUserPassword" else value
    for name, value in lens.members(SAVED, is_default=False).items()
    if name in ("host", "port", "senderAddress", "senderDisplayName", "credentialsUserName", "credentialsUserPassword",
                "enableAuth")
}  # fmt: skip

CREDENTIALS: Mapping[str, Any] = {
    "userName": {"description": "User name or contact e-mail address, in any case."},
    "password": {"description": "Taken as it is, blanks included."},
}


def describe() -> Description:
    """The dialect as it is."""
    return Description(
        title="DocSpace",
        text=f"SMTP settings of the portal at `{SMTP}` for root users, and the login at `{AUTHENTICATION}`.",
        endpoints=list(_endpoints()),
        schemes=asc_identity.SCHEMES,
    )


def _endpoints() -> Iterator[Endpoint]:
    for operation in OPERATIONS:
        yield Endpoint(
            path=operation.path,
            method=operation.method.lower(),
            name=operation.name,
            summary=operation.summary,
            answers=[_answer(outcome) for outcome in operation.outcomes],
            security=operation.security,
            **_body(operation),
        )


def _body(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Setting) and operation.read is not None:
        return {"reads": SMTP_SETTINGS, "media": JSON_TYPES, "example": EXAMPLE, "body_required": True}
    if isinstance(operation, Login) and operation.security == ("",):
        example = {"userName": "root", "password": "Root-1"}
        return {"also_reads": CREDENTIALS, "media": (*JSON_TYPES, FORM), "example": example}
    return {}


def _answer(outcome: Outcome) -> Answer:
    if outcome.body is None:
        return Answer(outcome.status, outcome.when, media=None, headers=outcome.headers)
    shape = {"type": "object", "required": ["status", "statusCode"]}
    return Answer(outcome.status, outcome.when, {outcome.when: outcome.body}, shape, headers=outcome.headers)
