"""The client's side of an SMTP conversation (RFC 5321) up to a greeted and secured line."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mailsvc.core.smtp_profile import OPPORTUNISTIC, STARTTLS, TLS
from mailsvc.courier.lines import ConnectionLost, Lines
from mailsvc.courier.replies import Reply
from mailsvc.courier.routes import Route, SendFailed, Step, Why
from mailsvc.courier.tls import client_context

REPLY_LINES = 200
REPLY_BYTES = 64 * 1024
"""More than any reply of any server has use for."""

GOODBYE_SECONDS = 2.0
"""How long the answer to QUIT is waited for: what was to be said is said."""


class Conversation:
    """A conversation along ``route`` on a connection that is there already."""

    def __init__(self, lines: Lines, route: Route) -> None:
        self._lines = lines
        self._route = route
        self._greeted = False
        self.offers: dict[str, list[str]] = {}
        """Extensions that the server announces, in upper case, with their parameters."""

    @contextmanager
    def at(self, step: Step) -> Iterator[None]:
        """Turn what breaks the conversation within the block into a SendFailed of ``step``."""
        try:
            yield
        except TimeoutError:
            raise SendFailed(Why.REPLY_TIMEOUT if self._greeted else Why.NO_GREETING, step) from None
        except ConnectionLost as loss:
            raise SendFailed(Why.LOST, step, detail=str(loss)) from None

    def open(self) -> None:
        """Secure the line as the profile says, and greet. Raises SendFailed, TimeoutError, ConnectionLost."""
        security = self._route.profile.security
        moment = self._lines.until(self._route.limits.greeting)
        if security == TLS:
            self._secure(moment)
        greeting = self._reply(moment)
        self._greeted = True
        if greeting.code != 220:
            raise SendFailed(Why.GREETING_REFUSED, Step.CONNECT, reply=greeting)
        self._greet()
        if security == STARTTLS or (security == OPPORTUNISTIC and "STARTTLS" in self.offers):
            self._starttls()

    def _greet(self) -> None:
        name = self._route.profile.ehlo_name or self._route.ehlo_name
        reply = self.command(f"EHLO {name}")
        if reply.is_positive:
            self.offers = _announced(reply)
            return
        self.offers = {}
        reply = self.command(f"HELO {name}")
        if not reply.is_positive:
            raise SendFailed(Why.GREETING_REFUSED, Step.CONNECT, reply=reply)

    def _starttls(self) -> None:
        if "STARTTLS" not in self.offers and self._route.announced_only:
            raise SendFailed(Why.NO_STARTTLS, Step.CONNECT)
        reply = self.command("STARTTLS")
        if reply.code != 220:
            raise SendFailed(Why.STARTTLS_REFUSED, Step.CONNECT, reply=reply)
        if self._lines.has_unread:
            # Put in by somebody on the way, to be taken for what the server says later, under TLS.
            raise SendFailed(Why.TLS_FAILED, Step.CONNECT, detail="unexpected data before the handshake")
        self._secure(self._lines.until(self._route.limits.reply))
        # What was announced in clear does not count any more (RFC 3207, section 4.2).
        self._greet()

    def _secure(self, moment: float) -> None:
        context = client_context(verify=self._route.verify)
        self._lines.limit(moment)
        try:
            self._lines.sock = context.wrap_socket(
                self._lines.sock, server_hostname=self._route.profile.host.rstrip(".")
            )
        except ssl.SSLCertVerificationError as error:
            raise SendFailed(Why.CERTIFICATE, Step.CONNECT, detail=error.verify_message) from None
        except ssl.SSLError as error:
            reason = (error.reason or "handshake failed").replace("_", " ").lower()
            raise SendFailed(Why.TLS_FAILED, Step.CONNECT, detail=reason) from None
        except ValueError:
            # A name that TLS cannot ask for.
            raise SendFailed(Why.TLS_FAILED, Step.CONNECT, detail="the host name cannot be verified") from None
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(error.strerror or "connection closed") from None

    def command(self, line: str) -> Reply:
        """Send ``line`` and wait for the reply. Raises TimeoutError, ConnectionLost."""
        if "\r" in line or "\n" in line:
            raise ValueError("a command is one line")
        return self.say(line.encode() + b"\r\n")

    def say(self, data: bytes) -> Reply:
        """Send ``data`` as it is and wait for the reply. Raises TimeoutError, ConnectionLost."""
        self._lines.write(data, self._lines.until(self._route.limits.reply))
        return self._reply(self._lines.until(self._route.limits.reply))

    def _reply(self, moment: float) -> Reply:
        lines: list[str] = []
        size = 0
        while len(lines) < REPLY_LINES and size < REPLY_BYTES:
            line = self._lines.read(moment)
            if not (len(line) >= 3 and line[:3].isdigit() and line[3:4] in (b"", b" ", b"-")):
                raise ConnectionLost("not a reply of SMTP")
            size += len(line)
            lines.append(_text(line[4:]))
            if line[3:4] != b"-":
                return Reply(int(line[:3]), " ".join(" ".join(lines).split()), tuple(lines))
        raise ConnectionLost("a reply without end")

    def take_leave(self) -> None:
        """Say QUIT, and wait only shortly for an answer."""
        with suppress(TimeoutError, ConnectionLost):
            moment = self._lines.until(GOODBYE_SECONDS)
            self._lines.write(b"QUIT\r\n", moment)
            self._reply(moment)


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        # Servers that are not from this century.
        return line.decode("latin-1")


def _announced(reply: Reply) -> dict[str, list[str]]:
    offers: dict[str, list[str]] = {}
    for line in reply.lines[1:]:
        # ``AUTH=PLAIN`` is how it was written before it was a standard.
        words = line.upper().replace("AUTH=", "AUTH ", 1).split()
        if words:
            offers.setdefault(words[0], []).extend(words[1:])
    return offers
