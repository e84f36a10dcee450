"""How this wire proves who is calling, and which of the passwords is the mailbox's (contract, section 2)."""

from typing import NamedTuple

from flask import Request

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import NotSignedIn
from mailsvc.protocols import origins
from mailsvc.protocols.brainycp.fields import Fields
from mailsvc.services import sign_in
from mailsvc.services.ports import Ports


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
    if sent.by_basic and origins.is_foreign(request):
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
