"""The one entrance, and the order of checks that the contract fixes: the first that fails answers."""

import logging
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from flask import Blueprint, Request
from flask import request as current
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter, Rule
from werkzeug.wrappers import Response

from mailsvc.core.acts import USER, Act, PanelUser
from mailsvc.core.refusals import Refusal
from mailsvc.observation import note, request_id
from mailsvc.protocols.webitel import body, errors, identity, query
from mailsvc.protocols.webitel.identity import Identity
from mailsvc.protocols.webitel.operations import NOT_FOUND, NOT_PROVEN, OPERATIONS, SETTINGS, TEST_TO
from mailsvc.protocols.webitel.outcomes import Call, NotProven, Operation
from mailsvc.services import audit
from mailsvc.services.ports import Ports
from mailsvc.services.settings_documents import Login
from mailsvc.vault.seals import CannotOpen

log = logging.getLogger("mailsvc.webitel")

ENGINE = "/engine"
GUARDED = "/api/v2"
"""Below this, whoever calls has to prove himself before he is told what there is."""

TEST_PATH = f"{SETTINGS}/test/"

BY_PATH = {
    path: {one.method: one for one in OPERATIONS if one.path == path}
    for path in {one.path for one in OPERATIONS} - {TEST_TO.path}
}

NOBODY = PanelUser(0, "", USER)
ANONYMOUS = Identity(Login(NOBODY, ()), 0)

CORS = (
    ("Vary", "Origin"),
    ("Access-Control-Allow-Methods", "GET,PUT,POST,PATCH,DELETE,OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-type,Accept,X-Access-Token,X-Key"),
    ("Access-Control-Max-Age", "86400"),
)


class AnyCase(BaseConverter):
    """Every path of this wire, in whatever letter case."""

    part_isolating = False
    regex = "(?:engine/)?(?i:api/v2|login|logout)(?s:/.*)?"


class Place(NamedTuple):
    """What a path names: its operations by method, and the recipients in it."""

    operations: Mapping[str, Operation]
    to: str = ""


NOWHERE = Place({})


def blueprint(ports: Ports) -> Blueprint:
    """The routes: a rule of any method for each path of the table, found quickly, and one for all other spellings."""
    routes = Blueprint("webitel", __name__)

    def entrance(**_: str) -> Response:
        # The request itself: what stands for it looks it up again at each use.
        request: Request = current._get_current_object()  # type: ignore[attr-defined]
        response = answer(ports, request)
        _allow_origin(ports, request, response)
        return response

    def record(state: BlueprintSetupState) -> None:
        state.app.url_map.converters["webitel_path"] = AnyCase
        state.app.view_functions["webitel.entrance"] = entrance
        # Not by add_url_rule, which allows GET alone unless methods are named: here every method has an answer.
        paths = {one.path.replace("{", "<").replace("}", ">") for one in OPERATIONS}
        for rule in (*sorted(paths), "/<webitel_path:path>"):
            state.app.url_map.add(Rule(rule, endpoint="webitel.entrance", strict_slashes=False))

    routes.record(record)
    return routes


def _allow_origin(ports: Ports, request: Request, response: Response) -> None:
    origins = ports.settings.cors_origins
    origin = request.environ.get("HTTP_ORIGIN") if origins else None
    if origin in origins:
        response.headers.add("Access-Control-Allow-Origin", origin)
        response.headers.extend(CORS)


def answer(ports: Ports, request: Request) -> Response:
    """The reply to ``request``."""
    path = request.path.removeprefix(ENGINE)
    place = _place(path)
    method = "GET" if request.method == "HEAD" else request.method
    operation = place.operations.get(method)
    note(operation=operation.name if operation else "unknown")
    if method == "OPTIONS" and place.operations:
        return Response(b"")
    try:
        sent = body.read(request)
        fields = query.read(request.environ.get("QUERY_STRING", ""))
        credentials = identity.credentials(request, fields, sent)
        guarded = path[: len(GUARDED)].lower() == GUARDED
        caller = identity.prove(ports, credentials) if guarded else ANONYMOUS
    except body.Unreadable as error:
        return errors.unusable(error.status, error.info)
    except NotProven as refusal:
        note(outcome="NotProven", reason=str(refusal))
        return errors.refusal(NOT_PROVEN, refusal.facts)
    user = caller.login.user
    if caller is not ANONYMOUS:
        note(caller=user.name)
    if operation is None:
        return errors.refusal(NOT_FOUND, {"path": _as_sent(request)})
    wanted, is_name = query.domain(fields)
    call = Call(
        act=Act("webitel", operation.name, user.name, user, operation.outcomes[0].status, request_id()),
        login=caller.login,
        address=request.remote_addr or "",
        token=credentials.token,
        key=credentials.key,
        expires=caller.expires,
        wanted=wanted,
        body=sent,
        to=place.to,
        subject=(wanted or "") if is_name else "",
    )
    return _perform(ports, operation, call)


def _place(path: str) -> Place:
    plain = path.lower().removesuffix("/")
    operations = BY_PATH.get(plain)
    if operations is not None:
        return Place(operations)
    to = path[len(TEST_PATH) :].removesuffix("/")
    if plain.startswith(TEST_PATH) and "/" not in to:
        return Place({TEST_TO.method: TEST_TO}, to)
    return NOWHERE


def _as_sent(request: Request) -> str:
    """Path and query as they were sent, without the prefix and without what is secret in them."""
    raw: str = request.environ.get("RAW_URI") or quote(request.path)
    # A proxy's way of asking names the server too (RFC 9112, section 3.2.2).
    path = raw if raw.startswith("/") else urlsplit(raw).path
    path = path.partition("?")[0].removeprefix(ENGINE)
    fields = query.without_secrets(request.environ.get("QUERY_STRING", ""))
    return f"{path}?{fields}" if fields else path


def _perform(ports: Ports, operation: Operation, call: Call) -> Response:
    try:
        return errors.reply(operation.handler(ports, call))
    except Exception as error:
        outcome = operation.outcome_of(error)
        facts = error.facts if isinstance(error, Refusal) else {}
        _note_refusal(ports, operation, call, error, outcome.status)
        return errors.refusal(outcome, {"domain": call.subject or call.wanted} | facts)


def _note_refusal(ports: Ports, operation: Operation, call: Call, error: Exception, status: int) -> None:
    if isinstance(error, Refusal):
        outcome, reason = type(error).__name__, str(error)
    else:
        outcome, reason = "Broken", None
        trace = None if isinstance(error, CannotOpen) else error
        log.error("%s failed: %s", operation.name, error if trace is None else "unexpectedly", exc_info=trace)
    note(outcome=outcome, reason=reason)
    if not operation.writes:
        return
    try:
        audit.refused(ports, call.act, call.subject, outcome=outcome, code=status)
    except Exception:
        log.exception("the audit entry of a refused %s was lost", operation.name)
