"""The token of this wire: a JWT (RFC 7519) whose end is in milliseconds, signed by the installation's key.

It says only when it ends. Who may hold it is decided by the store, which knows each one.
"""

import functools
import re

import orjson

from mailsvc.services import installation
from mailsvc.services.ports import Ports

ALGORITHM = "HS256"
SIGNING_KEY = "webitel tokens"
"""The installation's secret that signs."""

REMEMBERED = "a webitel token"
LENGTH = 4096

_FORM = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")


class Invalid(Exception):
    """Not a token that this installation signed."""


def issue(ports: Ports, expires: int) -> str:
    """A token that ends at ``expires``, in milliseconds since 1970. Raises CannotOpen without a usable key file."""
    from jwt.api_jws import encode

    header = {"typ": "JWT", "alg": ALGORITHM}
    secret = installation.made_secret(ports, SIGNING_KEY)
    return encode(orjson.dumps({"exp": expires}), secret, ALGORITHM, headers=header, sort_headers=False)


def end_of(ports: Ports, token: str) -> int:
    """When ``token`` ends, in milliseconds since 1970; it may be over. Raises Invalid.

    The signature is verified once a minute at most, as passwords are.
    """
    form = _FORM.fullmatch(token) if len(token) <= LENGTH else None
    if form is None:
        raise Invalid
    if not ports.remembered.knows(REMEMBERED, token):
        _verify(ports, token)
        ports.remembered.add(REMEMBERED, token)
    return _end_in(form[1])


def _verify(ports: Ports, token: str) -> None:
    from jwt import PyJWTError
    from jwt.api_jws import decode

    secret = installation.secret(ports, SIGNING_KEY)
    try:
        # One algorithm, whatever the header says.
        if secret is not None:
            decode(token, secret, algorithms=[ALGORITHM])
            return
    except (PyJWTError, ValueError):
        pass
    raise Invalid


@functools.lru_cache(maxsize=1024)
def _end_in(payload: str) -> int:
    from base64 import urlsafe_b64decode

    try:
        claims = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        end = claims["exp"]
    except (ValueError, TypeError, KeyError):
        raise Invalid from None
    if type(end) is not int:
        raise Invalid
    return end
