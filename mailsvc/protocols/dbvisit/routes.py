"""The entrances, and the order of checks that the contract fixes: the first that fails answers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Request
from flask import request as current
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response

from mailsvc.core.acts import Act
from mailsvc.core.refusals import BadInput, NotSignedIn, NotYours, Refusal, TooOften
from mailsvc.courier.routes import SendFailed
from mailsvc.observation import note, request_id
from mailsvc.protocols import bodies, origins
from mailsvc.protocols.dbvisit import identity
from mailsvc.protocols.dbvisit.errors import refused, reply, succeeded
from mailsvc.protocols.dbvisit.handlers import TestFailed, members
from mailsvc.protocols.dbvisit.operations import (
    FOREIGN,
    LOGIN_PATH,
    LOGIN_REFUSED,
    LOGOUT_PATH,
    METHOD,
    NOT_AN_OBJECT,
    NOT_JSON,
    NOT_JSON_TYPE,
    NOT_SIGNED_IN,
    OPERATIONS,
    PARAMS_NOT_AN_OBJECT,
    TOO_LARGE,
)
from mailsvc.protocols.dbvisit.outcomes import Operation, Outcome, Sent
from mailsvc.protocols.json_bodies import NotJson, UnsafeJson, parse
from mailsvc.services import audit
from mailsvc.services.ports import Ports

log = logging.getLogger("mailsvc.dbvisit")

JSON = "application/json"
DONE: Mapping[str, object] = {"Status": 200, "Result": {}}


class Unfit(Exception):
    """The request is answered before anything is looked at that it asks for."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


def blueprint(ports: Ports) -> Blueprint:
    """The routes; each with and without a slash at its end."""
    routes = Blueprint("dbvisit", __name__)

    def add(path: str, name: str, answer: Callable[[Request], Response]) -> None:
        def entrance() -> Response:
            # The request itself: what stands for it looks it up again at each use.
            request: Request = current._get_current_object()  # type: ignore[attr-defined]
            note(operation=name)
            try:
                return answer(request)
            except Unfit as unfit:
                note(outcome="Unfit", reason=str(unfit))
                return refused(unfit.outcome)

        for rule in (path, f"{path}/"):
            routes.add_url_rule(rule, f"{rule}", entrance, methods=[METHOD], provide_automatic_options=False)

    for operation in OPERATIONS:
        for path in operation.paths:
            add(path, operation.name, lambda request, operation=operation: _call(ports, operation, request))  # type: ignore[misc]
    add(LOGIN_PATH, "login", lambda request: _log_in(ports, request))
    add(LOGOUT_PATH, "logout", lambda request: _log_out(ports, request))
    return routes


def _call(ports: Ports, operation: Operation, request: Request) -> Response:
    _refuse_foreign(request)
    try:
        caller = identity.prove(ports, request)
    except (NotSignedIn, TooOften) as refusal:
        note(outcome=type(refusal).__name__)
        return refused(NOT_SIGNED_IN)
    note(caller=caller.name)
    act = Act("dbvisit", request.path.rstrip("/"), caller.name, caller, 200, request_id())
    sent: Sent = {}
    try:
        if not caller.is_root:
            raise NotYours(user=caller.name)
        wire = _params(request)
        sent = {name: value for name, value in wire.items() if name in operation.schema.fields and value is not None}
        return succeeded(operation.handler(ports, act, _checked(operation, sent)))
    except Unfit as unfit:
        _note_refusal(ports, operation, act, sent, unfit, unfit.outcome)
        raise
    except Exception as error:
        facts = {"text": error.text} if isinstance(error, TestFailed) else {}
        outcome, text = operation.answer_to(error, facts)
        _note_refusal(ports, operation, act, sent, error, outcome)
        return refused(outcome, text)


def _checked(operation: Operation, sent: Sent) -> Sent:
    try:
        checked: Sent = operation.schema.load(sent)
    except ValidationError as refusal:
        raise BadInput(field=next(iter(refusal.messages_dict))) from None
    return checked


def _note_refusal(ports: Ports, operation: Operation, act: Act, sent: Sent, error: Exception, outcome: Outcome) -> None:
    name = type(error).__name__
    if outcome.status >= 500:
        name = "Broken"
        log.error("%s failed", operation.name, exc_info=error)
    note(outcome=name, reason=str(error) if isinstance(error, Refusal | SendFailed) else None)
    if not operation.writes:
        return
    try:
        audit.refused(ports, act, members(sent), outcome=name, code=outcome.status)
    except Exception:
        log.exception("the audit entry of a refused %s was lost", operation.name)


def _log_in(ports: Ports, request: Request) -> Response:
    _refuse_foreign(request)
    sent = _body(request)
    try:
        user, cookie = identity.log_in(ports, request, sent.get("UserName"), sent.get("Password"))
    except (NotSignedIn, TooOften) as refusal:
        note(outcome=type(refusal).__name__)
        return refused(LOGIN_REFUSED)
    note(caller=user.name)
    return _with_cookie(cookie)


def _log_out(ports: Ports, request: Request) -> Response:
    _refuse_foreign(request)
    _body(request)
    return _with_cookie(identity.log_out(ports, request))


def _with_cookie(cookie: str) -> Response:
    response = reply(DONE)
    response.headers["Set-Cookie"] = cookie
    return response


def _refuse_foreign(request: Request) -> None:
    if origins.is_foreign(request):
        raise Unfit(FOREIGN)


def _params(request: Request) -> dict[str, Any]:
    params = _body(request).get("params")
    if params is None:
        return {}
    if not isinstance(params, dict):
        raise Unfit(PARAMS_NOT_AN_OBJECT)
    return params


def _body(request: Request) -> dict[str, Any]:
    """The object of the body; empty when there is no body. Raises Unfit."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if request.mimetype != JSON or charset not in ("utf-8", "utf8") or encoding not in ("", "identity"):
        raise Unfit(NOT_JSON_TYPE)
    try:
        body = bodies.whole(request)
        value = parse(body) if body else {}
    except RequestEntityTooLarge:
        raise Unfit(TOO_LARGE) from None
    except (HTTPException, NotJson, UnsafeJson):
        raise Unfit(NOT_JSON) from None
    if not isinstance(value, dict):
        raise Unfit(NOT_AN_OBJECT)
    return value
