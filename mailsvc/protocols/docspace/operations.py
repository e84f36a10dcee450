"""THE TABLE: every path and method of this dialect, in the order of the contract (sections 2.1 and 4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Request
from werkzeug.wrappers import Response

from mailsvc.protocols.docspace import authentication, handlers, lens, schemas
from mailsvc.protocols.docspace.authentication import BARE, SUFFIXED, Form
from mailsvc.protocols.docspace.errors import (
    BROKEN,
    DENIED,
    TOO_LARGE,
    TOO_MANY,
    WRONG_TYPE,
    Failure,
    body_of,
    envelope,
    problem,
)
from mailsvc.protocols.docspace.outcomes import Login, Outcome, Setting
from mailsvc.protocols.docspace.schemas import SAVE_RULES
from mailsvc.protocols.docspace.testing import members as job_members
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_tests import Job

SMTP = "/api/2.0/smtpsettings/smtp"
AUTHENTICATION = "/api/2.0/authentication"

BY_ANY = ("token", "bearer", "basic", "cookie")

SAVED = lens.View(
    host="mail.example.com",
    port=25,
    sender_address="notify@example.com",
    sender_display_name="Postman",
    user_name="notify@example.com",
    enable_ssl=False,
)
ID = "0b7c3f0e-6a3c-4d55-9a55-3d2a5f6f4c11"


def _envelope(path: str, method: str, response: Any = None) -> Mapping[str, Any]:
    return envelope(f"http://example.com{path}", method, response, 200)


_UNKNOWN = Outcome(401, "Nobody, or nobody known.", headers={"WWW-Authenticate": "`Basic`, after a failed Basic."})
_DENIED = Outcome(403, "The caller is no root user, or another site may have sent this.", body_of(DENIED))
_TOO_LARGE = Outcome(413, "A body over 1 MiB.", body_of(TOO_LARGE))
_BROKEN = Outcome(500, "Our own failure.", body_of(BROKEN))


def _problem(errors: Mapping[str, Sequence[str]]) -> Outcome:
    return Outcome(400, "A member is wrong.", problem(f"http://example.com{SMTP}", "POST", errors, "f2c1a0b1d7e85c3a"))


def _setting(path: str, method: str, name: str, handler: Any, *succeeded: Outcome, **more: Any) -> Setting:
    return Setting(
        path=path,
        method=method,
        name=name,
        summary=handler.__doc__,
        security=BY_ANY,
        handler=handler,
        has_effect=more.pop("has_effect", False),
        outcomes=(*succeeded, *more.pop("refused", ()), _UNKNOWN, _DENIED, _TOO_LARGE, _BROKEN),
        **more,
    )


SHOW = _setting(
    SMTP, "GET", "getSmtpSettings", handlers.show,
    Outcome(200, "As saved.", _envelope(SMTP, "GET", lens.members(SAVED, is_default=False))),
    Outcome(200, "Nothing is set.", _envelope(SMTP, "GET", lens.members(lens.NOTHING, is_default=True))),
)  # fmt: skip

SAVE = _setting(
    SMTP, "POST", "saveSmtpSettings", handlers.save,
    Outcome(200, "Saved.", _envelope(SMTP, "POST", lens.members(SAVED, is_default=False))),
    has_effect=True,
    read=schemas.read,
    refused=(
        _problem({"Host": ["The field Host must be a string with a maximum length of 255."]}),
        _problem({"$.port": ["The JSON value could not be converted. Path: $.port"]}),
        _problem({"": [schemas.NO_BODY]}),
        *(Outcome(400, failure.message, body_of(failure)) for _, failure in SAVE_RULES),
        Outcome(415, "A body that is no JSON.", body_of(WRONG_TYPE)),
    ),
)  # fmt: skip

RESET = _setting(
    SMTP, "DELETE", "resetSmtpSettings", handlers.reset,
    Outcome(200, "The defaults.", _envelope(SMTP, "DELETE", lens.members(lens.NOTHING, is_default=True))),
    has_effect=True,
)  # fmt: skip

TEST = _setting(
    f"{SMTP}/test", "GET", "testSmtpSettings", handlers.test,
    Outcome(200, "Begun, or running.", _envelope(f"{SMTP}/test", "GET", job_members(Job(ID)))),
    has_effect=True,
    refused=(
        Outcome(429, "More tests than one user may make in 15 minutes.", body_of(TOO_MANY),
                {"Retry-After": "Seconds until the next is allowed."}),
    ),
)  # fmt: skip

STATUS = _setting(
    f"{SMTP}/test/status", "GET", "getSmtpOperationStatus", handlers.status,
    Outcome(200, "Sent.", _envelope(f"{SMTP}/test/status", "GET", job_members(
        Job(ID, "Send test message", 100, completed=True)))),
    Outcome(200, "Refused.", _envelope(f"{SMTP}/test/status", "GET", job_members(
        Job(ID, "Authenticate", 60, "535: 5.7.8 Authentication failed", completed=True)))),
    Outcome(200, "No test.", _envelope(f"{SMTP}/test/status", "GET")),
)  # fmt: skip


Answer = Callable[[Ports, Request, Form], Response]


def _login(form: Form, path: str, method: str, name: str, answer: Answer, *outcomes: Outcome) -> Login:
    failures: tuple[Failure, ...] = (form.broken,) if method == "GET" else (form.denied, form.too_large, form.broken)
    suffix, in_name = (".json", "Workspace") if form is SUFFIXED else ("", "")
    return Login(
        path=path + suffix,
        method=method,
        name=name + in_name,
        summary=answer.__doc__ or name,
        security=("",) if answer is authentication.log_in else ("", *BY_ANY),
        answer=lambda ports, request: answer(ports, request, form),
        refusal=lambda error: authentication.refused(error, form),
        outcomes=(*outcomes, *(Outcome(failure.status, failure.message, form.body(failure)) for failure in failures)),
    )


_TOKEN = {"token": "9Yf0…", "expires": "2026-12-21T10:00:00.0000000Z"}
_LOGOUT = f"{AUTHENTICATION}/logout"


def _logins(form: Form) -> Sequence[Login]:
    wrong = (form.wrong, "Wrong, missing, or not active."), (form.blocked, "Blocked after five failures.")
    refused = [Outcome(failure.status, when, form.body(failure)) for failure, when in wrong]
    asked = form.envelope(f"http://example.com{AUTHENTICATION}", "GET", True, 200)
    token = form.envelope(f"http://example.com{AUTHENTICATION}", "POST", {**_TOKEN, **form.second_factors}, form.done)
    logged_out = form.envelope(f"http://example.com{_LOGOUT}", "POST", form.logged_out, form.done)
    return (
        _login(form, AUTHENTICATION, "GET", "isAuthenticated", authentication.is_signed_in,
               Outcome(200, "Whether the caller is known.", asked)),
        _login(form, AUTHENTICATION, "POST", "authenticate", authentication.log_in,
               Outcome(form.done, "A token, also as a cookie.", token), *refused),
        _login(form, _LOGOUT, "POST", "logout", authentication.log_out,
               Outcome(form.done, "Logged out, if logged in.", logged_out)),
    )  # fmt: skip


OPERATIONS: tuple[Setting | Login, ...] = (*_logins(BARE), *_logins(SUFFIXED), SHOW, SAVE, RESET, TEST, STATUS)

Methods = Mapping[str, Setting | Login]

PATHS: Mapping[str, Methods] = {
    path: {operation.method: operation for operation in OPERATIONS if operation.path == path}
    for path in dict.fromkeys(operation.path for operation in OPERATIONS)
}
"""The methods of each path."""
