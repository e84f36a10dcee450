"""Handing one message to an SMTP server (RFC 5321), as a profile says.

One conversation: connect to a checked address, secure the line, authenticate, send. Every step has a time limit and all
of them together have one; whatever goes wrong is a SendFailed that says at which step and why, in no dialect's words.
"""

import base64
import binascii
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from mailsvc.courier import sasl
from mailsvc.courier.conversation import Conversation
from mailsvc.courier.lines import Lines
from mailsvc.courier.replies import Reply
from mailsvc.courier.routes import Limits, Route, SendFailed, Step, Why
from mailsvc.courier.targets import Denied, Targets

__all__ = ["Delivery", "Limits", "Message", "Route", "SendFailed", "Step", "Why", "send"]

COMMAND_BYTES = 512
"""The longest command line that every server takes (RFC 5321, section 4.5.3.1.4), with its end."""

_BROKEN = {Why.NO_GREETING, Why.REPLY_TIMEOUT, Why.LOST, Why.TLS_FAILED, Why.CERTIFICATE}
"""After these there is nobody to take leave of."""

_NOT_IN_A_PATH = re.compile("[\x00-\x20\x7f<>]")
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Message:
    """Envelope and content (RFC 5322, CRLF). ``recipients`` are told apart when only some are refused."""

    sender: str
    recipients: Sequence[str]
    content: bytes

    def __post_init__(self) -> None:
        """Raises ValueError for what is no address in a command: whoever asks for the message has to check that."""
        if not self.recipients or any(_NOT_IN_A_PATH.search(path) for path in (self.sender, *self.recipients)):
            raise ValueError("a message needs recipients, and addresses without blanks, brackets, control characters")


class Delivery(NamedTuple):
    """What became of a message that was handed in. ``response`` is the server's last reply."""

    accepted: list[str]
    rejected: list[str]
    response: Reply


def send(
    targets: Targets, route: Route, message: Message, progress: Callable[[Step], None] = lambda _: None
) -> Delivery:
    """Hand ``message`` in. ``progress`` is told of each step as it begins. Raises SendFailed."""
    progress(Step.CONNECT)
    with _conversation(targets, route) as server:
        if route.profile.username:
            progress(Step.AUTHENTICATE)
            with server.at(Step.AUTHENTICATE):
                _authenticate(server, route)
        progress(Step.SEND)
        with server.at(Step.SEND):
            return _hand_in(server, message)


@contextmanager
def _conversation(targets: Targets, route: Route) -> Iterator[Conversation]:
    deadline = time.monotonic() + route.limits.total
    lines = Lines(_connected(targets, route), deadline)
    server = Conversation(lines, route)
    try:
        with server.at(Step.CONNECT):
            server.open()
        yield server
    except SendFailed as failure:
        if failure.why not in _BROKEN:
            server.take_leave()
        raise
    else:
        server.take_leave()
    finally:
        lines.close()


def _connected(targets: Targets, route: Route) -> socket.socket:
    host, port = route.profile.host, route.profile.dialled_port
    try:
        return targets.connect(host, port, min(route.limits.connect, route.limits.total))
    except Denied:
        raise SendFailed(Why.DENIED, Step.CONNECT) from None
    except socket.gaierror as error:
        raise SendFailed(Why.NOT_FOUND, Step.CONNECT, detail=error.strerror or "name not found") from None
    except TimeoutError:
        raise SendFailed(Why.CONNECT_TIMEOUT, Step.CONNECT) from None
    except ConnectionRefusedError as error:
        raise SendFailed(Why.REFUSED, Step.CONNECT, detail=str(error.filename)) from None
    except OSError as error:
        raise SendFailed(Why.UNREACHABLE, Step.CONNECT, detail=error.strerror or "network error") from None


def _authenticate(server: Conversation, route: Route) -> None:
    """RFC 4954."""
    mechanism = _mechanism(server, route)
    answer = sasl.answers(mechanism, route.profile.username, route.password or "")
    reply = _begun(server, mechanism, answer)
    for _ in range(sasl.STEPS[mechanism]):
        if reply.code != 334:
            break
        reply = server.command(_base64(answer(_challenge(server, mechanism, reply))))
    if reply.code != 235:
        raise SendFailed(Why.LOGIN_REFUSED, Step.AUTHENTICATE, reply=reply)


def _begun(server: Conversation, mechanism: str, answer: Callable[[bytes], bytes]) -> Reply:
    if mechanism == sasl.PLAIN:
        at_once = f"AUTH {mechanism} {_base64(answer(b''))}"
        if len(f"{at_once}\r\n") <= COMMAND_BYTES:
            return server.command(at_once)
    # Not every server takes the name of LOGIN together with the command.
    return server.command(f"AUTH {mechanism}")


def _challenge(server: Conversation, mechanism: str, reply: Reply) -> bytes:
    if mechanism != sasl.CRAM:
        # Whatever is asked for, in whatever words: the next answer is known.
        return b""
    try:
        return base64.b64decode(reply.text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        server.command("*")
        raise SendFailed(Why.LOGIN_REFUSED, Step.AUTHENTICATE, reply=reply) from None


def _mechanism(server: Conversation, route: Route) -> str:
    """The mechanism that the profile forces, else the first of ours that is offered."""
    if route.profile.mechanism is not None:
        return route.profile.mechanism
    offered = server.offers.get("AUTH", [])
    for mechanism in sasl.USUAL:
        if mechanism in offered:
            return mechanism
    if not offered and not route.announced_only:
        return sasl.PLAIN
    raise SendFailed(Why.NO_MECHANISM, Step.AUTHENTICATE)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _hand_in(server: Conversation, message: Message) -> Delivery:
    reply = server.command(f"MAIL FROM:<{message.sender}>{_parameters(server, message)}")
    if not reply.is_positive:
        raise SendFailed(Why.SENDER_REFUSED, Step.SEND, reply=reply)
    accepted, rejected = [], []
    for recipient in message.recipients:
        answer = server.command(f"RCPT TO:<{recipient}>")
        if answer.is_positive:
            accepted.append(recipient)
        else:
            rejected.append(recipient)
            reply = answer
    if not accepted:
        raise SendFailed(Why.RECIPIENTS_REFUSED, Step.SEND, reply=reply)
    return Delivery(accepted, rejected, _data(server, message.content))


def _parameters(server: Conversation, message: Message) -> str:
    """SMTPUTF8 only when needed, because many servers refuse what they do not know (RFC 6531)."""
    if all(address.isascii() for address in (message.sender, *message.recipients)):
        return ""
    if "SMTPUTF8" not in server.offers:
        raise SendFailed(Why.NO_SMTPUTF8, Step.SEND)
    return " BODY=8BITMIME SMTPUTF8" if "8BITMIME" in server.offers else " SMTPUTF8"


def _data(server: Conversation, content: bytes) -> Reply:
    reply = server.command("DATA")
    if reply.code != 354:
        raise SendFailed(Why.DATA_REFUSED, Step.SEND, reply=reply)
    reply = server.say(stuffed(content))
    if not reply.is_positive:
        raise SendFailed(Why.MESSAGE_REFUSED, Step.SEND, reply=reply)
    return reply


def stuffed(content: bytes) -> bytes:
    """``content`` as it follows DATA: every line ended by CRLF, a dot before each that begins with one, and the end
    (RFC 5321, section 4.5.2).
    """
    lines = _LINE_END.split(content)
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
