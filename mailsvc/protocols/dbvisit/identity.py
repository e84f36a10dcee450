"""How this wire proves who is calling, and its cookie (contract, section 3)."""

from datetime import datetime, timedelta

from flask import Request
from werkzeug.http import http_date

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn
from mailsvc.services import sign_in, tokens
from mailsvc.services.ports import Ports

COOKIE = "dbvisit-standby"
LIFETIME = timedelta(days=30)

_NOBODY = "\0"
"""No user can have this name; checking it takes as long as checking any other."""


def prove(ports: Ports, request: Request) -> PanelUser:
    """Whoever the ``Authorization`` header says, or the cookie where there is none. Raises NotSignedIn, TooOften."""
    header = request.headers.get("Authorization")
    if header is None:
        return tokens.holder(ports, request.cookies.get(COOKIE, ""), kind=tokens.DBVISIT, keys=False)
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "basic":
        name, password = sign_in.basic_credentials(header) or ("", "")
        return sign_in.by_password(ports, name=name, password=password, address=_address(request))
    token = rest.strip() if scheme.lower() == "bearer" else header.strip()
    if not token:
        raise NotSignedIn()
    return tokens.holder(ports, token, kind=tokens.ONLYOFFICE, keys=True)


def log_in(ports: Ports, request: Request, name: object, password: object) -> tuple[PanelUser, str]:
    """Begin a login. Gives the user and the cookie that stands for him from now on. Raises NotSignedIn, TooOften."""
    if not isinstance(name, str) or not name or not isinstance(password, str):
        name, password = _NOBODY, ""
    caller = sign_in.checked(ports, name=name, password=password, address=_address(request))
    token = tokens.new_token()
    until = tokens.begin(ports, caller, kind=tokens.DBVISIT, token=token, lifetime=LIFETIME)
    return caller.user, _cookie(request, token, int(LIFETIME.total_seconds()), until)


def log_out(ports: Ports, request: Request) -> str:
    """End the login of the request's cookie, if it has one. Gives the cookie that clears it."""
    token = request.cookies.get(COOKIE)
    if token:
        tokens.end(ports, token, kind=tokens.DBVISIT)
    return _cookie(request, "", 0, datetime.fromtimestamp(0).astimezone())


def _cookie(request: Request, token: str, seconds: int, until: datetime) -> str:
    secure = "; Secure" if request.is_secure else ""
    return f"{COOKIE}={token}; Path=/; Expires={http_date(until)}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _address(request: Request) -> str:
    return request.remote_addr or ""
