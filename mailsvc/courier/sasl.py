"""The ways to log in (RFC 4422) that IMAP, POP3 and SMTP share."""

import hmac
from collections.abc import Callable, Collection

from mailsvc.core.mail_accounts import CRAM_MD5

PLAIN = "PLAIN"
LOGIN = "LOGIN"
CRAM = "CRAM-MD5"

USUAL = (PLAIN, LOGIN, CRAM)
"""In the order in which an ordinary login takes the first that is offered."""

STEPS = {PLAIN: 1, LOGIN: 2, CRAM: 1}
"""How often the server asks for something."""


def mechanism(offered: Collection[str], auth: int) -> str | None:
    """The mechanism to use of those ``offered`` (upper case) when an account asks for ``auth``; None if none fits."""
    wanted = (CRAM,) if auth == CRAM_MD5 else USUAL
    return next((name for name in wanted if name in offered), None)


def answers(name: str, login: str, password: str) -> Callable[[bytes], bytes]:
    """What gives the answer to each challenge of the server, in turn (RFC 4616, RFC 2195; LOGIN has no RFC)."""
    user, secret = login.encode("utf-8", "surrogatepass"), password.encode("utf-8", "surrogatepass")
    if name == PLAIN:
        return lambda _challenge: b"\0" + user + b"\0" + secret
    if name == CRAM:
        return lambda challenge: user + b" " + hmac.new(secret, challenge, "md5").hexdigest().encode()
    steps = iter((user, secret))
    return lambda _challenge: next(steps, b"")
