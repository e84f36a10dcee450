"""How the two ONLYOFFICE dialects prove who calls: a token or a password in ``Authorization``, or a token in a cookie.

An ``Authorization`` header that is there decides alone. A token is that of a login through ``/api/2.0/authentication``
or an API key.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from flask import Request

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn
from mailsvc.protocols import asc_wire, origins
from mailsvc.services import sign_in, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.sign_in import Checked

COOKIE = "asc_auth_key"

SCHEMES: Mapping[str, Mapping[str, str]] = {
    "token": {"type": "apiKey", "in": "header", "name": "Authorization"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
"""The proofs as security schemes of OpenAPI."""


class How(Enum):
    """What the caller proves himself with."""

    TOKEN = auto()
    BASIC = auto()
    COOKIE = auto()


class Credential(NamedTuple):
    """What was sent. ``secret`` is the token, or the whole header of Basic."""

    how: How
    secret: str


class Caller(NamedTuple):
    """Who calls. ``token`` is what he proved himself with, None for a password."""

    user: PanelUser
    how: How
    token: str | None


class Forged(Exception):
    """A browser may have sent this with a user's cookie or password on behalf of another site."""


def presented(request: Request) -> Credential | None:
    """The one credential that counts, or None when there is none."""
    header = request.environ.get("HTTP_AUTHORIZATION")
    if header is None:
        cookie = request.cookies.get(COOKIE)
        return None if cookie is None else Credential(How.COOKIE, cookie)
    scheme, _, rest = header.strip().partition(" ")
    known = scheme.lower()
    if known == "basic":
        return Credential(How.BASIC, header)
    return Credential(How.TOKEN, rest.strip() if known == "bearer" else header.strip())


def prove(ports: Ports, request: Request) -> Caller:
    """Who sent ``request``. Raises NotSignedIn, and TooOften for Basic credentials that are blocked."""
    sent = presented(request)
    if sent is None:
        raise NotSignedIn()
    if sent.how is How.BASIC:
        return Caller(_by_basic(ports, request, sent.secret), sent.how, None)
    return Caller(tokens.holder(ports, sent.secret, kind=tokens.ONLYOFFICE, keys=True), sent.how, sent.secret)


def _by_basic(ports: Ports, request: Request, header: str) -> PanelUser:
    credentials = sign_in.basic_credentials(header)
    if credentials is None:
        raise NotSignedIn()
    return by_password(ports, request, *credentials).user


def by_password(ports: Ports, request: Request, name: str, password: str) -> Checked:
    """The user whose name, or contact e-mail address, is ``name`` in any case. Raises NotSignedIn, TooOften."""
    known = sign_in.name_without_case(ports, name)
    return sign_in.checked(ports, name=known, password=password, address=request.remote_addr or "")


def refuse_forged(request: Request, caller: Caller, *, always_has_body: bool) -> None:
    """Refuse what another site may have made a browser send in the caller's name; to be asked before every effect.

    Browsers add cookies by themselves, and Basic credentials that they remember. With a cookie, the page that sent it,
    if the request names one, must be of the request's own origin, and a body must be JSON, which no form can send.
    ``always_has_body``: the method has no use without one, and is held to the type even so. Programs use Basic too, and
    say nothing of where they are: with it only what names another site is refused, whatever its body is. Raises Forged.
    """
    if caller.how is How.BASIC and origins.is_foreign(request):
        raise Forged
    if caller.how is not How.COOKIE:
        return
    typed = always_has_body or (asc_wire.has_body(request) and request.method != "GET")
    if origins.is_of_another(request) or (typed and not asc_wire.is_json(request)):
        raise Forged
