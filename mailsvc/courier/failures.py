"""Why a foreign mail server could not be used, in the words that its user is told."""

import ast
import imaplib
import poplib
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from mailsvc.core.mail_accounts import IMAP, POP3, SMTP, MailServer
from mailsvc.courier.replies import shown
from mailsvc.courier.targets import Denied

NOT_VERIFIED = "The server certificate could not be verified."
NOT_ALLOWED = "Connection to this address is not allowed."
NO_MECHANISM = "The server does not support the requested authentication mechanism."
NO_SMTP_AUTH = "SmtpAuth is required (setup Authentication Type)"
BAD_PORT = "The port must be between 1 and 65535."
NO_HOST = "The server name is empty."
GIBBERISH = "The server sent what cannot be understood."
HUNG_UP = "The server closed the connection."

_STARTTLS_MISSING = {
    IMAP: "The IMAP server does not support the STARTTLS extension.",
    POP3: "The POP3 server does not support the STLS extension.",
    SMTP: "The SMTP server does not support the STARTTLS extension.",
}
_CLIENT = {IMAP: "Imap", POP3: "Pop", SMTP: "Smtp"}

# RFC 5530 and RFC 3206: the login may be right, the server cannot tell now.
_PASSING = re.compile(r"\[(UNAVAILABLE|INUSE|IN-USE|LIMIT|SERVERBUG|SYS/TEMP|LOGIN-DELAY)\b", re.IGNORECASE)


class Failure(Exception):
    """One line that says why. ``refused_login``: the server knows the user's credentials to be wrong; ``quoted``: the
    line is the server's.
    """

    def __init__(self, reason: str, *, refused_login: bool = False, quoted: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refused_login = refused_login
        self.quoted = quoted


def starttls_missing(protocol: str) -> Failure:
    """The upgrade that was asked for is not offered."""
    return Failure(_STARTTLS_MISSING[protocol])


def no_mechanism() -> Failure:
    """None of the ways to log in that were asked for is offered."""
    return Failure(NO_MECHANISM, refused_login=True)


def refused(reply: str | bytes, code: int | None = None) -> Failure:
    """The server's answer to the credentials was no: ``reply``, and of SMTP the ``code``."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    lasting = not _PASSING.search(text) and (code is None or code >= 500)
    return Failure(text if code is None else f"{code}: {text}", refused_login=lasting, quoted=True)


def one_line(text: str) -> str:
    """``text`` from a server as one printable line that is not too long."""
    return shown(text, None)


@contextmanager
def telling(server: MailServer, phase: str, password: str | None = None) -> Iterator[None]:
    """Raises Failure for whatever goes wrong while connecting (``phase`` Connect), logging in (Authenticate), or later
    (Fetch). ``password`` never comes up in what is told of the server's words.
    """
    try:
        yield
    except Exception as error:
        timeout = f"{_CLIENT[server.protocol]}.{phase}Async timeout"
        failure = error if isinstance(error, Failure) else _failure(error, timeout)
        if failure is None:
            raise
        reason = shown(failure.reason, password if failure.quoted else None)
        raise Failure(reason or HUNG_UP, refused_login=failure.refused_login) from None


def _failure(error: Exception, timeout: str) -> Failure | None:
    """What the user is told about ``error``; None if it is a bug of ours."""
    if isinstance(error, imaplib.IMAP4.error | smtplib.SMTPException) and isinstance(error.__context__, OSError):
        # The clients of the standard library wrap what the line itself has raised.
        return _failure(error.__context__, timeout)
    if isinstance(error, imaplib.IMAP4.error | poplib.error_proto) or type(error) is smtplib.SMTPException:
        return Failure(reply_in(error), quoted=True)
    words = _words(error, timeout)
    return None if words is None else Failure(words)


def _words(error: Exception, timeout: str) -> str | None:
    if isinstance(error, TimeoutError):
        return timeout
    if isinstance(error, Denied):
        return NOT_ALLOWED
    if isinstance(error, ssl.SSLCertVerificationError):
        return NOT_VERIFIED
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error.args[-1])
        return f"TLS failed: {reason.replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return error.strerror or "Name or service not known"
    if isinstance(error, smtplib.SMTPServerDisconnected | EOFError):
        return HUNG_UP
    if isinstance(error, OSError):
        return error.strerror or str(error) or HUNG_UP
    if isinstance(error, UnicodeEncodeError):
        return "The server name or the login cannot be sent to a mail server."
    if isinstance(error, ValueError):
        return GIBBERISH
    return None


def reply_in(error: Exception) -> str:
    """The server's words in an error of the standard library's clients."""
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    # imaplib puts what it was doing before them, and them as Python writes a list of bytes.
    if match := re.search(r"command error: [A-Z]+ (\[b['\"].*\])$", text, re.DOTALL):
        text = b" ".join(ast.literal_eval(match[1])).decode("utf-8", "replace")
    text = text.rpartition("=> ")[2].removeprefix("-ERR").strip()
    return HUNG_UP if not text or text.startswith("socket error") else text
