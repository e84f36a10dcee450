"""This dialect in OpenAPI's words: every row of the operation table, with its answers."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mailsvc.core.mail_accounts import IMAP, LOGIN, SMTP, STARTTLS, TLS, MailServer, Servers
from mailsvc.protocols import asc_identity
from mailsvc.protocols.description import FORM, JSON, Answer, Description, Endpoint
from mailsvc.protocols.onlyoffice_mail import errors, views
from mailsvc.protocols.onlyoffice_mail.errors import Failure
from mailsvc.protocols.onlyoffice_mail.operations import OPERATIONS, PREFIX, Operation
from mailsvc.services.accounts import ListedAccount, StoredAccount

JSON_TYPES = (JSON, "application/*+json", "text/json", FORM)

MOMENT = datetime(2026, 10, 22, 10, tzinfo=UTC)

SERVERS = Servers(
    MailServer(IMAP, "imap.x.org", 993, "me@x.org", TLS, LOGIN),
    MailServer(SMTP, "smtp.x.org", 587, "me@x.org", STARTTLS, LOGIN),
)
ACCOUNT = ListedAccount(12, "me@x.org", "My box", True, False, False, False, MOMENT)
SETTINGS = views.settings(StoredAccount(12, "me@x.org", "My box", SERVERS, MOMENT, ""))

DONE: Mapping[str, Any] = {
    "listAccounts": [views.account(ACCOUNT, in_list=True)],
    "getAccount": SETTINGS,
    "getAccountByAddress": SETTINGS,
    "getAccountSetups": views.offered("me@x.org", SERVERS, MOMENT),
    "createAccount": views.account(ACCOUNT),
    "createAccountSimple": views.account(ACCOUNT),
    "updateAccount": views.account(ACCOUNT),
    "deleteAccount": views.removed(12),
    "deleteAccountByAddress": views.removed(12),
    "setAccountState": 12,
    "setDefaultAccount": "me@x.org",
    "getOperation": views.finished(),
}

SHOWN = ("name", "email", "account", "port", "server", "smtp_account", "smtp_port", "smtp_server", "smtp_auth")
SENT: Mapping[str, Any] = {
    **{name: int(SETTINGS[name]) if name.endswith("port") else SETTINGS[name] for name in SHOWN},
    **{name: SETTINGS[name] for name in ("restrict", "incoming_encryption_type", "outcoming_encryption_type")},
    "password": "",
    "smtp_password": "",
    "auth_type_in": 1,
    "auth_type_smtp": 1,
}

SUCCESS = {"type": "object", "required": ["status", "statusCode", "response"]}
ERROR = {"type": "object", "required": ["status", "statusCode", "error"]}

COMMON = (errors.DENIED, errors.TOO_LARGE, errors.WRONG_TYPE, errors.NOT_JSON)


def describe() -> Description:
    """The dialect as it is."""
    return Description(
        title="ONLYOFFICE Mail accounts",
        text=(
            "A user's mail accounts elsewhere: saved once a login to both servers has succeeded, and collected into a "
            "mailbox of this server. Every path answers with `.json` appended too. The login is the DocSpace dialect's."
        ),
        endpoints=list(_endpoints()),
        schemes=asc_identity.SCHEMES,
    )


def _endpoints() -> Iterator[Endpoint]:
    for operation in OPERATIONS:
        yield Endpoint(
            path=PREFIX + operation.path,
            method=operation.method.lower(),
            name=operation.name,
            summary=operation.summary,
            answers=list(_answers(operation)),
            parameters=list(_parameters(operation)),
            security=tuple(asc_identity.SCHEMES),
            **_body(operation),
        )


def _body(operation: Operation) -> dict[str, Any]:
    if operation.method not in ("POST", "PUT") or not operation.schema.fields:
        return {}
    read = {name: value for name, value in SENT.items() if name in operation.schema.fields}
    return {"reads": operation.schema, "media": JSON_TYPES, "example": read, "body_required": True}


def _parameters(operation: Operation) -> Iterator[Mapping[str, Any]]:
    text = {"type": "string"}
    for name in ("email", "id"):
        if f"{{{name}}}" in operation.path:
            yield {"name": name, "in": "path", "required": True, "schema": text}
    if operation.method in ("GET", "DELETE") and "{" not in operation.path:
        for name in operation.schema.fields:
            yield {"name": name, "in": "query", "required": name == "email", "schema": text}


def _answers(operation: Operation) -> Iterator[Answer]:
    if operation.name in DONE:
        status = 201 if operation.method == "POST" else 200
        body = {"count": 1, "status": 0, "statusCode": status, "response": DONE[operation.name]}
        yield Answer(status, "Done.", {"done": body}, SUCCESS)
    yield Answer(401, "Not known: plain text.", media=None)
    by_status: dict[int, list[Failure]] = {}
    for failure in _failures(operation):
        by_status.setdefault(failure.status, []).append(failure)
    for status, failures in sorted(by_status.items()):
        told = {str(place): errors.body(failure) for place, failure in enumerate(dict.fromkeys(failures), 1)}
        yield Answer(status, "Refused.", told, ERROR)


def _failures(operation: Operation) -> Iterator[Failure]:
    yield from COMMON
    if operation.handler is None:
        yield errors.NO_OAUTH
    if operation.missing is not None:
        yield from (operation.missing, errors.NO_ADDRESS, operation.unknown("me@x.org"))
    if operation.full:
        yield from (errors.NOT_A_NUMBER, errors.NOT_A_TRUTH, errors.unknown_value("x"), errors.OUT_OF_RANGE)
        yield from (errors.NO_OAUTH, errors.NO_DELIVERY)
    yield errors.BROKEN
