"""The one entrance, and the order of checks that the contract fixes: the first that fails answers."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Request
from flask import request as current
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response

from mailsvc.core.acts import Act
from mailsvc.core.mail_accounts import (
    AUTHS,
    ENCRYPTIONS,
    OAUTH2,
    PASSWORD_LENGTH,
    TEXT_LENGTH,
    is_plain_address,
)
from mailsvc.core.refusals import NoSuchAccount, NotSignedIn, Refusal, TooOften
from mailsvc.core.texts import cleaned
from mailsvc.observation import note, request_id
from mailsvc.protocols.asc_identity import Caller, Forged
from mailsvc.protocols.onlyoffice_mail import binding, errors, identity, operations
from mailsvc.protocols.onlyoffice_mail.errors import Failed, Failure
from mailsvc.protocols.onlyoffice_mail.operations import PREFIX, Operation
from mailsvc.services import audit
from mailsvc.services.ports import Ports

log = logging.getLogger("mailsvc.onlyoffice_mail")

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
"""All are let in, so that what they are answered is said here."""

SUBJECT_SHOWN = 320


def blueprint(ports: Ports) -> Blueprint:
    """The routes: everything below the prefix."""
    routes = Blueprint("onlyoffice_mail", __name__)

    def entrance(rest: str = "") -> Response:
        # The request itself: what stands for it looks it up again at each use.
        return answer(ports, current._get_current_object(), rest)  # type: ignore[attr-defined]

    for rule in ("/api/2.0/mail", PREFIX, f"{PREFIX}<path:rest>"):
        routes.add_url_rule(
            rule, view_func=entrance, methods=VERBS, strict_slashes=False, provide_automatic_options=False
        )
    return routes


def answer(ports: Ports, request: Request, path: str) -> Response:
    """The reply to ``request``."""
    operation, last = operations.found(request.method, path)
    note(operation=operation.name if operation else "unknown")
    try:
        caller = identity.prove(ports, request)
    except (NotSignedIn, TooOften) as refusal:
        note(outcome=type(refusal).__name__)
        return errors.unknown(request)
    except Exception:
        log.exception("sign-in failed for a reason of our own")
        note(outcome="Broken")
        return errors.failed(errors.BROKEN)
    note(caller=caller.user.name)
    if operation is None:
        return errors.failed(errors.NO_SUCH_METHOD)
    return _perform(ports, request, operation, last, caller)


def _perform(ports: Ports, request: Request, operation: Operation, last: str | None, caller: Caller) -> Response:
    done = 201 if request.method == "POST" else 200
    act = Act("onlyoffice_mail", operation.name, caller.user.name, caller.user, done, request_id())
    sent: Mapping[str, Any] = {}
    try:
        identity.refuse_forged(request, caller)
        members = binding.sent(request)
        sent = _read(operation, members if last is None else {**members, "email": last})
        _check(operation, sent)
        if operation.handler is None:
            raise Failed(errors.NO_OAUTH)
        return errors.success(request, operation.handler(ports, act, sent))
    except Exception as error:
        failure = _failure_of(operation, sent, error)
        _note_refusal(ports, operation, act, sent, error, failure)
        return errors.failed(failure)


def _read(operation: Operation, members: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        read: Mapping[str, Any] = operation.schema.load(members)
    except ValidationError as refusal:
        # The first in the order of the table.
        told = refusal.messages_dict
        names = [field.data_key or name for name, field in operation.schema.fields.items()]
        raise Failed(next(told[name][0] for name in names if name in told)) from None
    return read


def _check(operation: Operation, sent: Mapping[str, Any]) -> None:
    if operation.missing is not None:
        if not sent["email"]:
            raise Failed(operation.missing)
        if not is_plain_address(sent["email"]):
            raise Failed(errors.NO_ADDRESS)
    for name, value in sent.items():
        longest = PASSWORD_LENGTH if name.endswith("password") else TEXT_LENGTH
        if isinstance(value, str) and (len(value) > longest or any(mark in value for mark in "\r\n\0")):
            raise Failed(errors.OUT_OF_RANGE)
    if operation.full:
        _check_kinds(sent)


def _check_kinds(sent: Mapping[str, Any]) -> None:
    auths = (sent["auth_type_in"], sent["auth_type_smtp"])
    encryptions = (sent["incoming_encryption_type"], sent["outcoming_encryption_type"])
    if not set(encryptions) <= set(ENCRYPTIONS) or not set(auths) <= {*AUTHS, OAUTH2}:
        raise Failed(errors.OUT_OF_RANGE)
    if auths[0] == OAUTH2 or (auths[1] == OAUTH2 and sent["smtp_auth"]):
        raise Failed(errors.NO_OAUTH)


def _failure_of(operation: Operation, sent: Mapping[str, Any], error: Exception) -> Failure:
    if isinstance(error, Failed):
        return error.failure
    if isinstance(error, Forged):
        return errors.DENIED
    if isinstance(error, RequestEntityTooLarge):
        return errors.TOO_LARGE
    if isinstance(error, NoSuchAccount):
        return operation.unknown(sent["email"])
    if isinstance(error, Refusal):
        return errors.failure_of(error)
    log.error("%s failed", operation.name, exc_info=error)
    return errors.BROKEN


def _note_refusal(
    ports: Ports, operation: Operation, act: Act, sent: Mapping[str, Any], error: Exception, failure: Failure
) -> None:
    known = isinstance(error, Refusal | Failed | Forged | HTTPException)
    outcome = ("BadInput" if isinstance(error, Failed) else type(error).__name__) if known else "Broken"
    note(outcome=outcome)
    if not operation.writes:
        return
    email = sent.get("email", "")
    subject = cleaned(email.lower(), SUBJECT_SHOWN) if is_plain_address(email) else ""
    try:
        audit.refused(ports, act, subject, outcome=outcome, code=failure.status)
    except Exception:
        log.exception("the audit entry of a refused %s was lost", operation.name)


def outside(error: Exception) -> Response:
    """The answer to an error on this dialect's paths that no operation could answer."""
    if isinstance(error, RequestEntityTooLarge):
        return errors.failed(errors.TOO_LARGE)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return errors.failed(errors.NO_SUCH_METHOD)
    return errors.failed(errors.BROKEN)
