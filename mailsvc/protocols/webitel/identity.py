"""How this wire proves who is calling (contract, section 3): a token that was signed here, and the key of its login."""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Request

from mailsvc.core.refusals import NotSignedIn
from mailsvc.protocols.webitel import signed
from mailsvc.protocols.webitel.outcomes import NotProven
from mailsvc.protocols.webitel.truth import truthy
from mailsvc.services import settings_documents, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.settings_documents import Login

_KEY = re.compile(r"[0-9a-f-]{36}")


class Credentials(NamedTuple):
    """What was sent, empty where nothing was."""

    token: str
    key: str


class Identity(NamedTuple):
    """Whose login it is that calls, and when it ends, in milliseconds since 1970."""

    login: Login
    expires: int


def credentials(request: Request, query: Mapping[str, str], body: Any) -> Credentials:
    """Token and key, each from body, query or header, in this order; empty values are skipped."""
    members = body if isinstance(body, dict) else {}
    environ = request.environ
    return Credentials(
        _text(members.get("access_token")) or query.get("access_token") or environ.get("HTTP_X_ACCESS_TOKEN", ""),
        _text(members.get("x_key")) or query.get("x_key") or environ.get("HTTP_X_KEY", ""),
    )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Something is sent, though nothing that could be right.
    return f"?{type(value).__name__}" if truthy(value) else ""


def prove(ports: Ports, sent: Credentials) -> Identity:
    """Who calls, and what is looked up with it. Raises NotProven."""
    try:
        expires = signed.end_of(ports, sent.token)
    except signed.Invalid:
        raise NotProven(info="Invalid token") from None
    if expires <= now():
        raise NotProven(info="Token Expired")
    if not sent.key:
        raise NotProven(info="Invalid Token or Key")
    try:
        if not is_key(sent.key):
            raise NotSignedIn()
        login = settings_documents.of_login(ports, sent.key, sent.token, kind=tokens.WEBITEL)
    except NotSignedIn:
        raise NotProven(info="Invalid User") from None
    return Identity(login, expires)


def is_key(text: str) -> bool:
    """Whether ``text`` could be the key of a login: a UUID in lower case."""
    return _KEY.fullmatch(text) is not None


def now() -> int:
    """The present moment in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
