"""The two entrances, and the order of checks that the contract fixes: the first that fails answers."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from flask import Blueprint, Request
from flask import request as current
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address
from mailsvc.core.refusals import BadInput, NotSignedIn, Refusal, TooOften
from mailsvc.core.texts import cleaned
from mailsvc.observation import note, request_id
from mailsvc.protocols.brainycp import identity
from mailsvc.protocols.brainycp.errors import reply
from mailsvc.protocols.brainycp.fields import Fields, read
from mailsvc.protocols.brainycp.identity import Identity
from mailsvc.protocols.brainycp.operations import (
    BROKEN,
    MODULE,
    NOT_SIGNED_IN,
    OPERATIONS,
    REFUSED_METHOD,
    WRONG_COMMAND,
)
from mailsvc.protocols.brainycp.outcomes import Operation, language_of
from mailsvc.services import audit, users
from mailsvc.services.ports import Ports

log = logging.getLogger("mailsvc.brainycp")

NAME_SHOWN = 64


class Command(NamedTuple):
    """What the request asks for: the operation (None when none is named), whether the naming is wrong or ambiguous, and
    whether the module was named at all."""

    operation: Operation | None
    wrong: bool
    module_named: bool


def blueprint(ports: Ports) -> Blueprint:
    """The routes. Both entrances behave the same; the path can name the operation as a field can."""
    routes = Blueprint("brainycp", __name__)

    def entrance(in_path: str | None = None) -> Response:
        # The request itself: what stands for it looks it up again at each use.
        return answer(ports, current._get_current_object(), in_path)  # type: ignore[attr-defined]

    for rule in ("/api/api.php", "/mailclient", "/mailclient/", "/mailclient/<path:in_path>"):
        routes.add_url_rule(
            rule, view_func=entrance, methods=["GET", "POST"], strict_slashes=False, provide_automatic_options=False
        )
    return routes


def answer(ports: Ports, request: Request, in_path: str | None) -> Response:
    """The reply to ``request``."""
    fields = read(request)
    language = language_of(fields.last("language"))
    command = _command(request, fields, in_path)
    note(operation=command.operation.name if command.operation else "wrong" if command.wrong else "probe")
    try:
        caller = identity.prove(ports, request, fields)
    except (NotSignedIn, TooOften) as refusal:
        note(outcome=type(refusal).__name__)
        return reply(NOT_SIGNED_IN, language)
    except Exception:
        log.exception("sign-in failed for a reason of our own")
        note(outcome=audit.BROKEN)
        return reply(command.operation.outcome_of(Exception()) if command.operation else BROKEN, language)
    note(caller=caller.user.name)
    if command.wrong:
        return reply(WRONG_COMMAND, language)
    if command.operation is None:
        return Response(b"", content_type="text/plain; charset=utf-8")
    if command.operation.writes and request.method != "POST":
        return reply(REFUSED_METHOD, language, allow="POST")
    return _perform(ports, command.operation, caller, fields, language, module_named=command.module_named)


def _command(request: Request, fields: Fields, in_path: str | None) -> Command:
    in_path = (in_path or "").strip().lower()
    named = {name for name in OPERATIONS if name in fields}
    named |= {name for name in (in_path, (fields.last("subdo") or "").strip().lower()) if name}
    module = (fields.last("module") or "").strip().lower()
    wrong = module not in ("", MODULE) or len(named) > 1 or not named <= OPERATIONS.keys()
    operation = None if wrong or not named else OPERATIONS[named.pop()]
    module_named = module == MODULE or MODULE in fields or request.path.startswith(f"/{MODULE}")
    return Command(operation, wrong, module_named)


def _perform(
    ports: Ports, operation: Operation, caller: Identity, fields: Fields, language: str, *, module_named: bool
) -> Response:
    asked_for = fields.last("panel_user") or fields.last("user_edit") or caller.user.name
    act = Act("brainycp", operation.name, caller.user.name, caller.user, operation.success.code, request_id())
    sent: Mapping[str, Any] = {}
    members: Mapping[str, Any] = {}
    error: Exception | None = None
    try:
        if not module_named:
            raise BadInput(field="module")
        if asked_for != caller.user.name:
            act = replace(act, acting=users.acting_for(ports, caller.user, asked_for))
        sent = _sent(operation, fields, caller.mailbox_password)
        members = operation.handler(ports, act, sent)
    except Exception as caught:
        error = caught
    outcome = operation.success if error is None else operation.outcome_of(error)
    if error is not None:
        members = {name: [] for name in operation.members} if outcome.empty else {}
        _note_refusal(ports, operation, act, asked_for, sent, error, outcome.code)
    facts = _shown(sent) | (error.facts if isinstance(error, Refusal) else {})
    facts |= {"name": act.acting.name, "user": cleaned(asked_for, NAME_SHOWN)}
    return reply(outcome, language, facts, members)


def _sent(operation: Operation, fields: Fields, mailbox_password: str | None) -> Mapping[str, Any]:
    schema = operation.schema
    if not schema.fields:
        return {}
    wire = {name: fields.last(name) for name in schema.fields if name != "password" and name in fields}
    if mailbox_password is not None:
        wire["password"] = mailbox_password
    try:
        sent: Mapping[str, Any] = schema.load(wire)
    except ValidationError as refusal:
        raise BadInput(field=",".join(sorted(refusal.messages_dict))) from None
    return sent


def _shown(sent: Mapping[str, Any]) -> dict[str, object]:
    """What was sent, as texts show it. Never a password."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in sent.items()
        if isinstance(value, str | list | Address) and name != "password"
    }


def _note_refusal(
    ports: Ports,
    operation: Operation,
    act: Act,
    asked_for: str,
    sent: Mapping[str, Any],
    error: Exception,
    code: int,
) -> None:
    if isinstance(error, Refusal):
        outcome, reason = type(error).__name__, str(error)
    else:
        outcome, reason = audit.BROKEN, None
        log.error("%s failed", operation.name, exc_info=error)
    note(outcome=outcome, reason=reason)
    if not operation.writes:
        return
    # As named, whether there is such a user or not.
    act = replace(act, acting=PanelUser(0, cleaned(asked_for, NAME_SHOWN), "user"))
    try:
        audit.refused(ports, act, str(sent.get(operation.subject, "")), outcome=outcome, code=code)
    except Exception:
        log.exception("the audit entry of a refused %s was lost", operation.name)
