"""The paths, and the order of checks that the contract fixes (section 3.3): the first that fails answers."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request, current_app
from flask import request as current
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from werkzeug.wrappers import Response

from mailsvc.core.acts import Act
from mailsvc.core.refusals import NotSignedIn, NotYours, TooOften
from mailsvc.observation import note, request_id
from mailsvc.protocols import asc_identity, asc_wire, bodies
from mailsvc.protocols.asc_identity import Caller, Forged
from mailsvc.protocols.docspace import errors, identity
from mailsvc.protocols.docspace.operations import PATHS, Methods
from mailsvc.protocols.docspace.outcomes import Call, Login, Operation, Setting
from mailsvc.protocols.docspace.schemas import NOT_JSON, Invalid, NotSaved
from mailsvc.services import audit
from mailsvc.services.ports import Ports

log = logging.getLogger("mailsvc.docspace")

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
"""All are let in, so that what they are answered is said here: HEAD, which Flask takes for GET, may send no mail."""

NOTHING: Mapping[str, Any] = {}


def blueprint(ports: Ports) -> Blueprint:
    """The routes. A trailing slash is accepted."""
    routes = Blueprint("docspace", __name__)
    for path, methods in PATHS.items():
        for rule in (path, f"{path}/"):
            _add(routes, ports, rule, methods)
    return routes


def _add(routes: Blueprint, ports: Ports, rule: str, methods: Methods) -> None:
    def view() -> Response:
        # The request itself: what stands for it looks it up again at each use.
        return answer(ports, current._get_current_object(), methods)  # type: ignore[attr-defined]

    endpoint = rule.replace(".", "_").replace("/", "-")
    routes.add_url_rule(rule, endpoint, view, methods=VERBS, provide_automatic_options=False)


def answer(ports: Ports, request: Request, methods: Methods) -> Response:
    """The reply to ``request`` on a path that has ``methods``."""
    operation = methods.get(request.method)
    if operation is None:
        return _wrong_method(ports, request, methods)
    note(operation=operation.name)
    if isinstance(operation, Login):
        return _login(ports, request, operation)
    return _setting(ports, request, operation)


def _login(ports: Ports, request: Request, operation: Login) -> Response:
    try:
        return operation.answer(ports, request)
    except Exception as error:
        _note(operation, error)
        return operation.refusal(error)


def _setting(ports: Ports, request: Request, operation: Setting) -> Response:
    try:
        caller, kept = identity.prove(ports, request)
    except (NotSignedIn, TooOften) as refusal:
        # Whoever guesses is told no more than that he is not known.
        _note(operation, refusal)
        return identity.unknown(request)
    except Exception as error:
        _note(operation, error)
        return errors.failed(errors.BROKEN)
    note(caller=caller.user.name)
    act = Act("docspace", operation.name, caller.user.name, caller.user, 200, request_id())
    try:
        _refuse_caller(request, caller, operation)
        call = Call(act, _sent(request, operation), kept)
        return errors.success(request, operation.handler(ports, call))
    except Exception as error:
        _note(operation, error)
        response = _refused(request, error)
        if operation.has_effect:
            _audit(ports, act, error, response.status_code)
        return response


def _refuse_caller(request: Request, caller: Caller, operation: Setting) -> None:
    if operation.has_effect:
        asc_identity.refuse_forged(request, caller, always_has_body=operation.read is not None)
    if not caller.user.is_root:
        raise NotYours(user=caller.user.name)


def _sent(request: Request, operation: Setting) -> Mapping[str, Any]:
    # Most have no body, and Werkzeug's property looks for one in four ways.
    if request.environ.get("CONTENT_LENGTH") and (request.content_length or 0) > bodies.BYTES:
        raise RequestEntityTooLarge
    if operation.read is None:
        return NOTHING
    if not asc_wire.is_json(request) or asc_wire.is_encoded(request):
        raise UnsupportedMediaType
    try:
        body = bodies.whole(request)
    except BadRequest:
        raise Invalid(NOT_JSON) from None
    return operation.read(body)


def _refused(request: Request, error: Exception) -> Response:
    """The answer to what a method of the settings raises."""
    if isinstance(error, Invalid):
        return errors.invalid(request, error.errors)
    if isinstance(error, NotSaved):
        return errors.failed(error.failure)
    found = (failure for kind, failure in _FAILURES if isinstance(error, kind))
    response = errors.failed(next(found, errors.BROKEN))
    if isinstance(error, TooOften):
        response.headers["Retry-After"] = str(error.facts["seconds"])
    return response


_FAILURES: tuple[tuple[type[Exception], errors.Failure], ...] = (
    (Forged, errors.DENIED),
    (NotYours, errors.DENIED),
    (RequestEntityTooLarge, errors.TOO_LARGE),
    (UnsupportedMediaType, errors.WRONG_TYPE),
    (TooOften, errors.TOO_MANY),
)


def _note(operation: Operation, error: Exception) -> None:
    if isinstance(error, _REFUSALS):
        note(outcome=type(error).__name__, reason=str(error))
    else:
        note(outcome="Broken")
        log.error("%s failed", operation.name, exc_info=error)


_REFUSALS = (NotSignedIn, TooOften, NotYours, Forged, Invalid, NotSaved, HTTPException)


def _audit(ports: Ports, act: Act, error: Exception, code: int) -> None:
    outcome = type(error).__name__ if isinstance(error, _REFUSALS) else "Broken"
    try:
        audit.refused(ports, act, "portal", outcome=outcome, code=code)
    except Exception:
        log.exception("the audit entry of a refused %s was lost", act.operation)


def _wrong_method(ports: Ports, request: Request, methods: Methods) -> Response:
    if not any(isinstance(operation, Login) for operation in methods.values()) and not _is_known(ports, request):
        return identity.unknown(request)
    return errors.empty(405, Allow=", ".join(methods))


def _is_known(ports: Ports, request: Request) -> bool:
    try:
        note(caller=asc_identity.prove(ports, request).user.name)
    except (NotSignedIn, TooOften):
        return False
    return True


def outside(error: Exception) -> Response:
    """The answer to an error on this dialect's paths that no operation could answer."""
    request: Request = current._get_current_object()  # type: ignore[attr-defined]
    ports: Ports = current_app.extensions["mailsvc"]
    if isinstance(error, MethodNotAllowed):
        return _wrong_method(ports, request, PATHS[request.path.rstrip("/")])
    if isinstance(error, NotFound):
        return errors.empty(404) if _is_known(ports, request) else identity.unknown(request)
    return _refused(request, error)
