"""Logging in to a foreign SMTP server (RFC 5321, RFC 4954) without sending anything."""

import base64
import smtplib
from contextlib import suppress
from typing import Any

from mailsvc.core.mail_accounts import NO_AUTH, STARTTLS, MailServer
from mailsvc.courier import sasl
from mailsvc.courier.failures import NO_SMTP_AUTH, Failure, no_mechanism, refused, starttls_missing, telling
from mailsvc.courier.links import Links
from mailsvc.courier.wire import Wire


def client_on(wire: Wire, name: str, kind: type[smtplib.SMTP] = smtplib.SMTP) -> Any:
    """The standard library's client on a line that is there already; ``name`` is what it calls itself."""
    client: Any = kind(local_hostname=name)
    client.sock = client.file = wire
    return client


def log_in(links: Links, server: MailServer, password: str, *, name: str) -> None:
    """Log in to ``server`` as a client called ``name``, and leave. Raises Failure."""
    with telling(server, "Connect", password):
        wire = links.open(server)
    try:
        with telling(server, "Connect", password):
            client = _greeted(links, wire, server, name)
        wire.allow(links.login_seconds)
        with telling(server, "Authenticate", password):
            _authenticate(client, server, password)
        with suppress(OSError, smtplib.SMTPException):
            wire.allow(min(links.login_seconds, 5))
            client.quit()
    finally:
        wire.close()


def _greeted(links: Links, wire: Wire, server: MailServer, name: str) -> Any:
    client = client_on(wire, name)
    code, said = client.getreply()
    if code != 220:
        raise refused(said, code)
    _say_hello(client)
    if server.encryption == STARTTLS:
        _start_tls(client, links, wire, server)
    return client


def _say_hello(client: Any) -> None:
    code, said = client.ehlo()
    if code != 250:
        raise refused(said, code)


def _start_tls(client: Any, links: Links, wire: Wire, server: MailServer) -> None:
    if not client.has_extn("starttls"):
        raise starttls_missing(server.protocol)
    code, said = client.docmd("STARTTLS")
    if code != 220:
        raise refused(said, code)
    links.secure(wire, server)
    # What was said in clear no longer counts (RFC 3207, section 4.2).
    client.ehlo_resp, client.esmtp_features = None, {}
    _say_hello(client)


def _authenticate(client: Any, server: MailServer, password: str) -> None:
    if server.auth == NO_AUTH:
        if client.has_extn("auth"):
            raise Failure(NO_SMTP_AUTH)
        return
    mechanism = sasl.mechanism(client.esmtp_features.get("auth", "").upper().split(), server.auth)
    if mechanism is None:
        raise no_mechanism()
    code, said = _exchange(client, mechanism, server.login, password)
    if code != 235:
        raise refused(said, code)


def _exchange(client: Any, mechanism: str, login: str, password: str) -> tuple[int, bytes]:
    answer = sasl.answers(mechanism, login, password)
    # PLAIN in one step, as everybody does it (RFC 4954, section 4).
    first = f" {base64.b64encode(answer(b'')).decode()}" if mechanism == sasl.PLAIN else ""
    code, said = client.docmd("AUTH", mechanism + first)
    for _ in range(sasl.STEPS[mechanism]):
        if code != 334:
            break
        code, said = client.docmd(base64.b64encode(answer(base64.b64decode(said + b"==="))).decode())
    return code, said
