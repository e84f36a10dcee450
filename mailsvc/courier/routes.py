"""What a conversation with an SMTP server is begun with, and the ways in which it can end before its time."""

from dataclasses import dataclass
from enum import Enum, auto

from mailsvc.core.smtp_profile import SmtpProfile
from mailsvc.courier.replies import Reply


class Step(Enum):
    """Where a conversation has got to."""

    CONNECT = auto()
    AUTHENTICATE = auto()
    SEND = auto()


class Why(Enum):
    """Why a message was not handed in."""

    DENIED = auto()
    NOT_FOUND = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    CONNECT_TIMEOUT = auto()
    NO_GREETING = auto()
    GREETING_REFUSED = auto()
    REPLY_TIMEOUT = auto()
    LOST = auto()
    NO_STARTTLS = auto()
    STARTTLS_REFUSED = auto()
    TLS_FAILED = auto()
    CERTIFICATE = auto()
    NO_MECHANISM = auto()
    LOGIN_REFUSED = auto()
    NO_SMTPUTF8 = auto()
    SENDER_REFUSED = auto()
    RECIPIENTS_REFUSED = auto()
    DATA_REFUSED = auto()
    MESSAGE_REFUSED = auto()


class SendFailed(Exception):
    """The message was not handed in.

    ``reply`` is the server's, where there was one; ``detail`` a fact in short words (an address, the system's reason).
    Neither is cleaned yet: courier.replies.shown does that.
    """

    def __init__(self, why: Why, step: Step, *, reply: Reply | None = None, detail: str = "") -> None:
        super().__init__(why.name)
        self.why, self.step, self.reply, self.detail = why, step, reply, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds: to connect, for the greeting, for each reply, and for everything together."""

    connect: float = 15.0
    greeting: float = 30.0
    reply: float = 30.0
    total: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a message goes in, and how.

    ``announced_only`` False: STARTTLS, where it is required, and AUTH PLAIN are tried although the server announces
    neither. ``ehlo_name`` is used where the profile has none. ``verify`` is the profile's own, unless the administrator
    switched all checks of certificates off.
    """

    profile: SmtpProfile
    password: str | None
    ehlo_name: str
    verify: bool
    announced_only: bool = True
    limits: Limits = Limits()
