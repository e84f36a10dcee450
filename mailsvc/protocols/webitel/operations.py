"""THE TABLE: every operation with what it reads, what it does, and what it answers. Read it next to the contract."""

from collections.abc import Mapping
from typing import Any

from mailsvc.core.refusals import (
    BadInput,
    GivenByServer,
    NothingStored,
    NotSignedIn,
    NotYours,
    TooBusy,
    TooOften,
    UnknownDomain,
)
from mailsvc.protocols.webitel import handlers, schemas
from mailsvc.protocols.webitel.outcomes import CannotSend, NotProven, Operation, Outcome, error
from mailsvc.vault.seals import CannotOpen

SETTINGS = "/api/v2/email/settings"

# Said before an operation is known, or by every operation alike.

BROKEN = error(500, Exception, "Internal error.")
NOT_PROVEN = error(401, NotProven, "{info}")
NOT_FOUND = Outcome(404, None, {"status": "error", "info": "{path} not found."}, "There is no such path.")
SEALED = error(500, CannotOpen, "Settings cannot be read.")

_BAD = "Bad parameters."
_FOREIGN = error(403, NotYours, "Permission denied!")
_NOT_COMPLETE = {"status": 401, "message": "Invalid credentials"}

_DOCUMENT: Mapping[str, Any] = {
    "_id": "566999b271e0c652ea5da98e",
    "provider": "smtp",
    "from": "n@d1.example",
    "options": {"host": "smtp.d1.example", "port": 465, "secure": True, "auth": {"user": "n@d1.example", "pass": "x"}},
    "domain": "d1.example",
}

# Logins

LOGIN = Operation(
    "login", "POST", "/login", handlers.login, schemas.LOGIN, "Log in with the name and password of a panel user",
    (
        Outcome(200, None,
                {"key": "8fd26a17-eb28-4c74-aa6f-a3794f4f466c", "domain": "d1.example", "username": "alice",
                 "expires": 1803860554037, "token": "eyJ0...", "role": 1, "roleName": "admin",
                 "acl": handlers.ACL, "cdr": handlers.CDR, "verto": handlers.VERTO},
                "Key and token for the calls to come, and the domain if the user has exactly one."),
        Outcome(401, BadInput, _NOT_COMPLETE, "No user name was sent."),
        error(401, NotSignedIn, "secret incorrect"),
        error(401, TooOften, "secret incorrect"),
        BROKEN,
    ),
    security=(),
)  # fmt: skip

LOGOUT = Operation(
    "logout", "POST", "/logout", handlers.logout, None, "End the login of a key and a token",
    (
        Outcome(200, None, {"status": "OK", "info": "Successful logout."}, "The login has ended."),
        Outcome(401, BadInput, _NOT_COMPLETE, "Key or token is missing."),
        error(401, NotSignedIn, "Invalid credentials."),
        BROKEN,
    ),
    security=(),
)  # fmt: skip

WHOAMI = Operation(
    "whoami", "GET", "/api/v2/whoami", handlers.whoami, None, "Say who calls",
    (
        Outcome(200, None,
                {"acl": handlers.ACL, "id": "alice", "domain": "d1.example", "roleName": "admin",
                 "expires": 1803860554037, "cdr": handlers.CDR, "verto": handlers.VERTO},
                "The caller, and his domain if he has exactly one."),
        NOT_PROVEN,
        BROKEN,
    ),
)  # fmt: skip

# The document

GET = Operation(
    "settings get", "GET", SETTINGS, handlers.show, None, "The e-mail settings of a domain",
    (
        Outcome(200, None, _DOCUMENT, "The document as it was sent."),
        error(400, BadInput, "Bad request (domain required)."),
        NOT_PROVEN,
        _FOREIGN,
        error(404, UnknownDomain, "Not found!"),
        error(404, NothingStored, "Not found!"),
        SEALED,
        BROKEN,
    ),
    query=("domain",),
)  # fmt: skip

_OTHER_ID = error(
    500, GivenByServer,
    "The _id field cannot be changed from {{_id: ObjectId('{stored}')}} to {{_id: \"{sent}\"}}.", 66,
)  # fmt: skip

POST = Operation(
    "settings post", "POST", SETTINGS, handlers.create, schemas.SETTINGS, "Make or replace the settings of a domain",
    (
        Outcome(200, None, _DOCUMENT, "The document as it is stored now."),
        error(400, BadInput, _BAD),
        NOT_PROVEN,
        _FOREIGN,
        error(400, UnknownDomain, _BAD),
        _OTHER_ID,
        BROKEN,
    ),
    query=("domain",), writes=True,
)  # fmt: skip

PUT = Operation(
    "settings put", "PUT", SETTINGS, handlers.replace_whole, schemas.SETTINGS, "Replace the settings of a domain",
    (*POST.outcomes[:-1], error(404, NothingStored, "Not found."), BROKEN),
    query=("domain",), writes=True,
)  # fmt: skip

DELETE = Operation(
    "settings delete", "DELETE", SETTINGS, handlers.delete, None, "Remove the settings of a domain",
    (
        Outcome(200, None, {"status": "OK", "Info": "Removed 1 record."}, "The settings, if any, are gone."),
        error(400, BadInput, _BAD),
        NOT_PROVEN,
        _FOREIGN,
        Outcome(200, UnknownDomain, {"status": "OK", "Info": "Removed 0 record."}, "There is no such domain."),
        BROKEN,
    ),
    query=("domain",), writes=True,
)  # fmt: skip

# The test message

_NO_SETTINGS = "Not settings EMail provider from domain {domain}"

_TEST = (
    Outcome(200, None,
            {"status": "OK",
             "info": {"accepted": ["a@b.example"], "rejected": [], "response": "250 2.0.0 Ok: queued as ABC123",
                      "envelope": {"from": "n@d1.example", "to": ["a@b.example"]},
                      "messageId": "1795220554304.2e96f261@d1.example"}},
            "The server took the message for at least one of the recipients."),
    error(400, BadInput, "Domain is required."),
    NOT_PROVEN,
    _FOREIGN,
    error(404, UnknownDomain, _NO_SETTINGS),
    error(404, NothingStored, _NO_SETTINGS),
    error(500, CannotSend, "{info}", "{code}"),
    error(500, TooBusy, "Too many messages are being sent, try again later", "ECONNECTION"),
    SEALED,
    BROKEN,
)  # fmt: skip

TEST = Operation(
    "settings test", "POST", f"{SETTINGS}/test", handlers.test, schemas.TEST, "Send a test message",
    _TEST, query=("domain",), writes=True,
)  # fmt: skip
TEST_TO = Operation(
    "settings test", "POST", f"{SETTINGS}/test/{{to}}", handlers.test, schemas.TEST,
    "Send a test message to the recipients in the path", _TEST, query=("domain",), writes=True,
)  # fmt: skip

OPERATIONS = (LOGIN, LOGOUT, WHOAMI, GET, POST, PUT, DELETE, TEST, TEST_TO)
