"""How this wire proves who is calling, and which of the passwords is the mailbox's (contract, section 2)."""

from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Request

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn
from mailsvc.protocols.brainycp.fields import Fields
from mailsvc.services import sign_in
from mailsvc.services.ports import Ports

_PORTS = {"http": 80, "https": 443}


class Credentials(NamedTuple):
    """What was sent. ``mailbox_password`` is None when nothing can be told to be it: a secret is never guessed."""

    name: str
    secret: str
    mailbox_password: str | None
    by_basic: bool


class Identity(NamedTuple):
    """Who calls, and the mailbox password that came along."""

    user: PanelUser
    mailbox_password: str | None


def prove(ports: Ports, request: Request, fields: Fields) -> Identity:
    """Raises NotSignedIn, TooOften."""
    sent = credentials(request, fields)
    if sent.by_basic and _comes_from_elsewhere(request):
        raise NotSignedIn()
    user = sign_in.by_password(ports, name=sent.name, password=sent.secret, address=request.remote_addr or "")
    return Identity(user, sent.mailbox_password)


def credentials(request: Request, fields: Fields) -> Credentials:
    """The credentials that count, by the contract's cases A, B and C."""
    name = fields.last("login") if "login" in fields else fields.last("username")
    basic = sign_in.basic_credentials(request.headers.get("Authorization"))
    if basic is not None:
        nobody_named = not fields.last("login") and not fields.last("username")
        if nobody_named or (name == basic[0] and "pass" not in fields):
            return Credentials(*basic, fields.last("password"), by_basic=True)
    return _from_fields(name or "", fields)


def _from_fields(name: str, fields: Fields) -> Credentials:
    passwords = fields.all("password")
    if "pass" in fields:
        return Credentials(name, fields.last("pass") or "", fields.last("password"), by_basic=False)
    mailbox_password = passwords[-1] if len(passwords) > 1 else None
    return Credentials(name, passwords[0] if passwords else "", mailbox_password, by_basic=False)


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether a browser sends this on behalf of another site: it adds Basic credentials to such requests by itself."""
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not _same_host(origin, request.host)


def _same_host(origin: str, host: str) -> bool:
    try:
        of_origin = urlsplit(origin)
        of_host = urlsplit(f"{of_origin.scheme}://{host}")
        usual = _PORTS[of_origin.scheme]
        return (of_origin.hostname, of_origin.port or usual) == (of_host.hostname, of_host.port or usual)
    except (KeyError, ValueError):
        return False
