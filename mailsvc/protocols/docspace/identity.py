"""Who calls, and the answer to somebody who is not known (contract, sections 2 and 3.3)."""

from flask import Request
from werkzeug.wrappers import Response

from mailsvc.core.smtp_profile import PORTAL
from mailsvc.protocols import asc_identity
from mailsvc.protocols.asc_identity import COOKIE, Caller, How
from mailsvc.protocols.docspace.errors import empty
from mailsvc.services import smtp_profiles, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Kept


def prove(ports: Ports, request: Request) -> tuple[Caller, Kept | None]:
    """Who sent ``request``, and the portal's profile: for a token both in one look-up.

    Raises NotSignedIn, and TooOften for Basic credentials that are blocked.
    """
    sent = asc_identity.presented(request)
    if sent is None or sent.how is How.BASIC:
        return asc_identity.prove(ports, request), smtp_profiles.found(ports, PORTAL)
    seen = smtp_profiles.seen_by(ports, sent.secret, PORTAL, kind=tokens.ONLYOFFICE)
    return Caller(seen.user, sent.how, sent.secret), seen.kept


def unknown(request: Request) -> Response:
    """401: a failed Basic is asked for once more, and a cookie that is good for nothing is taken away."""
    sent = asc_identity.presented(request)
    response = empty(401)
    if sent is not None and sent.how is How.BASIC:
        response.headers["WWW-Authenticate"] = "Basic"
    elif sent is not None and sent.how is How.COOKIE:
        clear_cookie(request, response)
    return response


def clear_cookie(request: Request, response: Response) -> None:
    """Tell a browser to forget the login."""
    response.delete_cookie(COOKIE, path="/", secure=request.is_secure, httponly=True, samesite="Strict")
