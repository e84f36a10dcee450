"""Login and logout at ``/api/2.0/authentication``, for this dialect and for ONLYOFFICE Mail (contract, section 2.1).

The bare paths answer as DocSpace does, those that end in ``.json`` as Workspace does: BARE and SUFFIXED.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.wrappers import Response

from mailsvc.core.refusals import NotSignedIn, TooOften
from mailsvc.observation import note
from mailsvc.protocols import asc_identity, asc_wire, bodies, json_bodies, origins
from mailsvc.protocols.asc_identity import COOKIE, Caller
from mailsvc.protocols.docspace import errors
from mailsvc.protocols.docspace.errors import Failure
from mailsvc.protocols.docspace.identity import clear_cookie
from mailsvc.services import tokens
from mailsvc.services.ports import Ports

LIFETIME = timedelta(days=30)

MOST_FIELDS = 1000

FAILED = Failure(401, "User authentication failed")
BLOCKED = Failure(403, "Too many login attempts. Please try again later")


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of path answers: the members of a success and of a failure, and the failures there are.

    ``done`` is the status of a login or logout, ``second_factors`` what a login says of them.
    """

    envelope: Callable[[str, str, Any, int], Mapping[str, Any]]
    body: Callable[[Failure], Mapping[str, Any]]
    done: int
    logged_out: Mapping[str, Any] | None
    second_factors: Mapping[str, bool]
    wrong: Failure
    blocked: Failure
    denied: Failure
    too_large: Failure
    broken: Failure

    def success(self, request: Request, response: Any, status: int) -> Response:
        note(code=status)
        return asc_wire.answer(self.envelope(errors.url_of(request), request.method, response, status), status)

    def failed(self, failure: Failure) -> Response:
        note(code=failure.status)
        return asc_wire.answer(self.body(failure), failure.status)


def _suffixed_envelope(_url: str, _method: str, response: Any, status: int) -> Mapping[str, Any]:
    count = {} if response == {} else {"count": 1}
    return count | {"status": 0, "statusCode": status, "response": response}


def _suffixed_body(failure: Failure) -> Mapping[str, Any]:
    error = {"message": failure.message, "hresult": failure.hresult, "data": {}}
    return {"status": 1, "statusCode": failure.status, "error": error}


BARE = Form(
    envelope=errors.envelope,
    body=errors.body_of,
    done=200,
    logged_out=None,
    second_factors={"sms": False, "tfa": False},
    wrong=FAILED,
    blocked=BLOCKED,
    denied=errors.DENIED,
    too_large=errors.TOO_LARGE,
    broken=errors.BROKEN,
)

SUFFIXED = Form(
    envelope=_suffixed_envelope,
    body=_suffixed_body,
    done=201,
    logged_out={},
    second_factors={},
    wrong=replace(FAILED, status=500, hresult=asc_wire.APPLICATION),
    blocked=Failure(500, "Login Fail. Too many attempts", hresult=asc_wire.APPLICATION),
    denied=errors.DENIED,
    too_large=Failure(413, "Request Entity Too Large", hresult=asc_wire.GENERAL),
    broken=Failure(500, "Some unexpected error has occurred. Please try again later.", hresult=asc_wire.GENERAL),
)


def log_in(ports: Ports, request: Request, form: Form) -> Response:
    """Log in with a name, or contact address, and a password; the answer holds the token."""
    name, password = credentials(request)
    try:
        caller = asc_identity.by_password(ports, request, name, password)
        note(caller=caller.user.name)
        token = tokens.new_token()
        ends = tokens.begin(ports, caller, kind=tokens.ONLYOFFICE, token=token, lifetime=LIFETIME)
    except TooOften as refusal:
        note(outcome="TooOften")
        response = form.failed(form.blocked)
        response.headers["Retry-After"] = str(refusal.facts["seconds"])
        return response
    except NotSignedIn:
        note(outcome="NotSignedIn")
        return form.failed(form.wrong)
    members = {"token": token, "expires": asc_wire.moment(ends), **form.second_factors}
    response = form.success(request, members, form.done)
    if not origins.is_of_another(request):
        response.set_cookie(
            COOKIE, token, expires=ends, path="/", secure=request.is_secure, httponly=True, samesite="Strict"
        )
    return response


def credentials(request: Request) -> tuple[str, str]:
    """Name and password as sent, each empty when it is not; a body that cannot be read counts as empty.

    Raises RequestEntityTooLarge.
    """
    try:
        body = bodies.whole(request)
    except BadRequest:
        body = b""
    fields = _fields(request, body)
    name, password = fields.get("username"), fields.get("password")
    return name if isinstance(name, str) else "", password if isinstance(password, str) else ""


def _fields(request: Request, body: bytes) -> Mapping[str, Any]:
    if asc_wire.is_encoded(request):
        return {}
    try:
        if asc_wire.is_json(request):
            return asc_wire.members(body)
        if request.mimetype == "application/x-www-form-urlencoded":
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
            return {name.lower(): value for name, value in pairs}
    except (ValueError, json_bodies.NotJson, json_bodies.UnsafeJson, asc_wire.NotAnObject):
        # Not a form, either.
        return {}
    return {}


def is_signed_in(ports: Ports, request: Request, form: Form) -> Response:
    """Whether the caller is known."""
    return form.success(request, _caller(ports, request) is not None, 200)


def log_out(ports: Ports, request: Request, form: Form) -> Response:
    """End the login whose token was presented; an API key stays what it is."""
    caller = _caller(ports, request)
    if caller is not None:
        asc_identity.refuse_forged(request, caller, always_has_body=False)
        if caller.token is not None:
            tokens.end(ports, caller.token, kind=tokens.ONLYOFFICE)
    response = form.success(request, form.logged_out, form.done)
    clear_cookie(request, response)
    return response


def refused(error: Exception, form: Form) -> Response:
    """The answer to what these functions raise."""
    if isinstance(error, asc_identity.Forged):
        return form.failed(form.denied)
    if isinstance(error, RequestEntityTooLarge):
        return form.failed(form.too_large)
    return form.failed(form.broken)


def _caller(ports: Ports, request: Request) -> Caller | None:
    try:
        caller = asc_identity.prove(ports, request)
    except (NotSignedIn, TooOften):
        return None
    note(caller=caller.user.name)
    return caller
