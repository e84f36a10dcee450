"""THE TABLE: every operation with what it reads, what it does, and what it answers. Read it next to the contract."""

from mailsvc.core.refusals import BadInput, NothingStored, NotSignedIn, NotYours, TooBusy, TooOften
from mailsvc.courier.routes import SendFailed
from mailsvc.protocols.dbvisit import handlers, schemas
from mailsvc.protocols.dbvisit.outcomes import Operation, Outcome
from mailsvc.vault.seals import CannotOpen

METHOD = "POST"
SECURITY = ("basic", "dbvisitCookie", "token")
"""Each of them alone is enough; an Authorization header decides before the cookie."""

# Said before an operation is reached, or by every operation alike, in the order of the checks.

NOT_FOUND = Outcome(404, Exception, "not found")
METHOD_NOT_ALLOWED = Outcome(405, Exception, "method not allowed", {"Allow": METHOD})
FOREIGN = Outcome(403, Exception, "cross-site request refused")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="mailsvc", charset="UTF-8"'}
NOT_SIGNED_IN = Outcome(401, NotSignedIn, "authentication required", _CHALLENGE)
BLOCKED = Outcome(401, TooOften, "authentication required", _CHALLENGE)
NOT_ROOT = Outcome(403, NotYours, "root rights required")
NOT_JSON_TYPE = Outcome(415, Exception, "Content-Type must be application/json")
TOO_LARGE = Outcome(413, Exception, "request body too large")
NOT_JSON = Outcome(400, Exception, "request body is not valid JSON")
NOT_AN_OBJECT = Outcome(400, Exception, "request body must be a JSON object")
PARAMS_NOT_AN_OBJECT = Outcome(400, Exception, "params must be a JSON object")
BROKEN = Outcome(500, Exception, "internal error")
LOGIN_REFUSED = Outcome(401, Exception, "invalid user name or password")

EARLY = (
    METHOD_NOT_ALLOWED, FOREIGN, NOT_SIGNED_IN, NOT_ROOT, NOT_JSON_TYPE, TOO_LARGE,
    NOT_JSON, NOT_AN_OBJECT, PARAMS_NOT_AN_OBJECT,
)  # fmt: skip
"""What each of the four calls may answer before its own outcomes are looked at."""

AT_LOGIN = (METHOD_NOT_ALLOWED, FOREIGN, NOT_JSON_TYPE, TOO_LARGE, NOT_JSON, NOT_AN_OBJECT, BROKEN)
"""What login and logout may answer, which ask for no credentials and have no ``params``."""

_BAD = Outcome(400, BadInput, "")
_NO_CONTROL = "characters without control characters"

_EMPTY: dict[str, object] = {
    "allow_selfsigned_certs": False,
    "encryption": "Plain",
    "from_email": "",
    "smtp_host": "",
    "smtp_port": 0,
    "username": "",
}
_SET: dict[str, object] = {
    "allow_selfsigned_certs": False,
    "encryption": "StartTLS",
    "from_email": "panel@example.com",
    "smtp_host": "smtp.example.com",
    "smtp_port": 587,
    "username": "panel",
}

EDIT = Operation(
    "edit", "Change the members given, return the settings", schemas.Edit(), handlers.edit, True,
    {
        "allow_selfsigned_certs": "allow_selfsigned_certs must be true or false",
        "encryption": "encryption must be one of: Plain, StartTLS, TLS",
        "from_email": f"from_email must be a string of at most 320 {_NO_CONTROL}",
        "password": f"password must be a string of at most 1024 {_NO_CONTROL}",
        "smtp_host": "smtp_host must be a host name or IP address of at most 255 characters",
        "smtp_port": "smtp_port must be an integer between 0 and 65535",
        "username": f"username must be a string of at most 255 {_NO_CONTROL}",
    },
    (_BAD, NOT_ROOT, BROKEN), _SET,
)  # fmt: skip

SHOW = Operation("show", "Return the settings", schemas.Nothing(), handlers.show, False, {}, (NOT_ROOT, BROKEN), _SET)

CLEAR = Operation(
    "clear", "Empty the settings and drop the password", schemas.Nothing(), handlers.clear, True, {},
    (NOT_ROOT, BROKEN), _EMPTY,
)  # fmt: skip

TEST = Operation(
    "test", "Send a test message with the stored settings", schemas.Test(), handlers.test, True,
    {
        "to": "to must be an e-mail address",
        "from_email": "from_email is not a valid address",
    },
    (
        _BAD, NOT_ROOT,
        Outcome(400, NothingStored, "smtp_host is not set"),
        Outcome(400, CannotOpen, "stored password cannot be read, set it again"),
        Outcome(400, SendFailed, "sending failed: {text}"),
        Outcome(400, TooBusy, "sending failed: too many messages are being sent, try again later"),
        BROKEN,
    ),
    {"message": "test email sent to a@b.example"},
)  # fmt: skip

OPERATIONS = (EDIT, SHOW, CLEAR, TEST)

LOGIN_PATH = "/api/login"
LOGOUT_PATH = "/api/logout"
