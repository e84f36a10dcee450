"""The envelope of this wire, and how it says what a use-case refuses (contract, sections 3.2 and 3.3)."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.wrappers import Response

from mailsvc.core.refusals import (
    ChangedMeanwhile,
    LoginRejected,
    NoSuchMailbox,
    Refusal,
    TooBusy,
    UnknownProvider,
)
from mailsvc.observation import note
from mailsvc.protocols import asc_wire
from mailsvc.protocols.asc_wire import ARGUMENT, ARGUMENT_NULL, FORMAT, GENERAL, MISSING_METHOD, SECURITY
from mailsvc.services.login_checks import Attempt


@dataclass(frozen=True, slots=True)
class Failure:
    """What a refused call is told; ``hresult`` is what the vendor's runtime calls the same."""

    status: int
    message: str
    hresult: int = GENERAL


class Failed(Exception):
    """The call is refused before any use-case was asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


DENIED = Failure(403, asc_wire.ACCESS_DENIED, SECURITY)
NO_SUCH_METHOD = Failure(404, "Method not found", MISSING_METHOD)
TOO_LARGE = Failure(413, "Request Entity Too Large")
WRONG_TYPE = Failure(415, "Unsupported Media Type")
NOT_JSON = Failure(400, "The request body is not valid JSON.")
NOT_A_NUMBER = Failure(400, "Input string was not in a correct format.", FORMAT)
NOT_A_TRUTH = Failure(400, "String was not recognized as a valid Boolean.", FORMAT)
OUT_OF_RANGE = Failure(400, "Value does not fall within the expected range.", ARGUMENT)
NO_OAUTH = Failure(400, "OAuth2 authentication is not supported.", ARGUMENT)
NULL_EMAIL = Failure(400, "Value cannot be null.\r\nParameter name: email", ARGUMENT_NULL)
NULL_ADDRESS = Failure(400, "Value cannot be null.\r\nParameter name: address", ARGUMENT_NULL)
EMPTY_EMAIL = Failure(400, "Empty email\r\nParameter name: email", ARGUMENT)
EMAIL_EMPTY = Failure(400, "Email empty\r\nParameter name: email", ARGUMENT)
NO_ADDRESS = Failure(500, "The specified string is not in the form required for an e-mail address.", FORMAT)
NO_DELIVERY = Failure(400, "Mailbox specified in deliver_to was not found", ARGUMENT)
NO_ACCOUNT = Failure(400, "Account not found", ARGUMENT)
BROKEN = Failure(500, "Some unexpected error has occurred. Please try again later.")


def unknown_value(value: str) -> Failure:
    """There is no such name in the enumeration."""
    return Failure(400, f"Requested value '{value}' was not found.", ARGUMENT)


def not_found(email: str) -> Failure:
    """The caller has no such account."""
    return Failure(500, f"Account wasn't found by email: {email}", ARGUMENT_NULL)


def failure_of(refusal: Refusal) -> Failure:
    """How this wire says ``refusal``, where that is the same for every operation."""
    if isinstance(refusal, LoginRejected):
        return Failure(500, _rejected(refusal.facts["attempts"]))
    if isinstance(refusal, NoSuchMailbox):
        return NO_DELIVERY
    if isinstance(refusal, TooBusy | ChangedMeanwhile | UnknownProvider):
        return BROKEN
    return BROKEN


def _rejected(attempts: Sequence[Attempt]) -> str:
    """The frames of section 5.3, and around those of several attempts that of section 4.4."""
    if len(attempts) == 1 and not attempts[0].numbered:
        return "\r\n".join(_halves(attempts[0]))
    return "".join(
        f"#{number}:<br>" + "".join(f"{half}<br>" for half in _halves(attempt))
        for number, attempt in enumerate(attempts, 1)
    )


def _halves(attempt: Attempt) -> list[str]:
    said = ((attempt.protocol.upper(), attempt.incoming), ("SMTP", attempt.outgoing))
    # A foreign server's words end up in somebody's browser.
    return [
        f'<span class="attempt_header">{name} response:</span><br/>{html.escape(reason)}'
        for name, reason in said
        if reason is not None
    ]


def success(request: Request, response: Any) -> Response:
    """The envelope around ``response``; what was posted is created."""
    status = 201 if request.method == "POST" else 200
    note(code=status)
    count = len(response) if isinstance(response, list) else 1
    head: dict[str, Any] = {"count": count} if count else {}
    return asc_wire.answer(head | {"status": 0, "statusCode": status, "response": response}, status)


def failed(failure: Failure) -> Response:
    """The error form."""
    note(code=failure.status)
    return asc_wire.answer(body(failure), failure.status)


def body(failure: Failure) -> dict[str, Any]:
    """The members of the error form."""
    error = {"message": failure.message, "hresult": failure.hresult, "data": {}}
    return {"status": 1, "statusCode": failure.status, "error": error}


def unknown(request: Request) -> Response:
    """401, in plain text; who tried with an ``Authorization`` header is told of the one way that browsers know."""
    note(code=401)
    response = Response(b"Unauthorized", 401, content_type="text/plain; charset=utf-8")
    if "Authorization" in request.headers:
        host = request.host.replace("\\", "").replace('"', "")
        response.headers["WWW-Authenticate"] = f'Basic Realm="{host}"'
    return response
