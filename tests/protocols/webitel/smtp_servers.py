"""SMTP servers to send test messages to: aiosmtpd, which behaves, and a scripted one, which does as it is told."""

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "127.0.0.1"
USER, SECRET = "n@d1.example", "s3cret-of-d1"
CHALLENGE = b"<1896.697170952@smtp.test>"
WAIT_SECONDS = 30.0


@dataclass
class Received:
    """A message as it came in."""

    sender: str
    recipients: list[str]
    content: bytes
    encrypted: bool
    mechanism: str | None


@dataclass
class CarefulServer:
    """aiosmtpd at work, whose names for its handlers these are.

    ``replies`` override those to MAIL, DATA, and RCPT of an address.
    """

    port: int = 0
    replies: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    mechanism: str | None = None
    ehlo_names: list[str] = field(default_factory=list)

    async def handle_MAIL(self, _s: SMTP, _x: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        """MAIL FROM."""
        if "MAIL" in self.replies:
            return self.replies["MAIL"]
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self, _s: SMTP, session: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        """RCPT TO."""
        self.ehlo_names.append(str(session.host_name))
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The end of the message."""
        content = envelope.original_content or b""
        encrypted = server.transport.get_extra_info("sslcontext") is not None  # type: ignore[union-attr]
        received = Received(str(envelope.mail_from), list(envelope.rcpt_tos), content, encrypted, self.mechanism)
        self.received.append(received)
        return self.replies.get("DATA", "250 2.0.0 Ok: queued as 1")

    def authenticate(self, _server: SMTP, _x: Session, _e: Envelope, mechanism: str, data: Any) -> AuthResult:
        """PLAIN and LOGIN."""
        right = (data.login, data.password) == (USER.encode(), SECRET.encode())
        self.mechanism = mechanism if right else None
        return AuthResult(success=right, handled=False)

    async def auth_CRAM__MD5(self, server: SMTP, _args: list[str]) -> AuthResult:  # noqa: N802
        """CRAM-MD5, which aiosmtpd does not have."""
        sent = await server.challenge_auth(CHALLENGE)
        if sent is MISSING:
            return AuthResult(success=False)
        digest = hmac.new(SECRET.encode(), CHALLENGE, "md5").hexdigest()
        right = sent == f"{USER} {digest}".encode()
        self.mechanism = "CRAM-MD5" if right else None
        return AuthResult(success=right, handled=False, auth_data=sent)


class AnyPort(Controller):
    """On whatever port is free."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def careful(tls: ssl.SSLContext | None = None, *, implicit: bool = False, **options: Any) -> Iterator[CarefulServer]:
    """aiosmtpd on a free port; with ``tls`` it offers STARTTLS, or ``implicit`` speaks TLS from the first byte."""
    server = CarefulServer()
    how: dict[str, Any] = {"ssl_context": tls} if implicit else {"tls_context": tls}
    controller = AnyPort(
        server, hostname=HOST, port=0, ready_timeout=60.0,
        authenticator=server.authenticate, auth_require_tls=False, **how, **options,
    )  # fmt: skip
    controller.start()
    try:
        server.port = controller.port
        yield server
    finally:
        controller.stop()


SILENCE = "(silence)"
"""A reply that never comes."""

NOTHING = "(nothing)"
"""Go on without a reply."""

END = "(end)"
"""The connection is closed instead."""


@dataclass
class ScriptedServer:
    """What a scripted server was asked, line by line."""

    port: int
    lines: list[str] = field(default_factory=list)


@contextmanager
def scripted(replies: Mapping[str, str], *, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """A server that answers each command by its first word, ``greeting`` first and ``message`` at its end.

    What ``replies`` does not name is answered ``250 ok`` (``DATA``: 354). With ``tls`` it secures the line after
    STARTTLS.
    """
    listener = socket.create_server((HOST, 0))
    over = threading.Event()
    server = ScriptedServer(listener.getsockname()[1])

    def talk(sock: socket.socket) -> None:
        with suppress(OSError), sock:
            sock.settimeout(WAIT_SECONDS)
            _converse(server, sock, replies, tls, over)

    def accept() -> None:
        while not over.is_set():
            try:
                sock, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=talk, args=(sock,), daemon=True).start()

    listener.settimeout(0.2)
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join(WAIT_SECONDS)
        listener.close()


def _converse(
    server: ScriptedServer,
    sock: socket.socket,
    replies: Mapping[str, str],
    tls: ssl.SSLContext | None,
    over: threading.Event,
) -> None:
    def say(reply: str) -> bool:
        if reply == SILENCE:
            over.wait(WAIT_SECONDS)
        if reply in (SILENCE, END):
            return False
        if reply != NOTHING:
            sock.sendall(reply.encode() + b"\r\n")
        return True

    lines = sock.makefile("rb")
    if not say(replies.get("greeting", "220 smtp.test ready")):
        return
    while line := lines.readline():
        text = line.decode("utf-8", "replace").strip()
        server.lines.append(text)
        word = text.partition(" ")[0].upper()
        if not say(replies.get(word, "354 go on" if word == "DATA" else "250 ok")):
            return
        if word == "STARTTLS" and tls is not None:
            with tls.wrap_socket(sock, server_side=True) as secured:
                _converse(server, secured, {**replies, "greeting": NOTHING}, None, over)
            return
        if word == "DATA" and replies.get("DATA", "354")[:3] == "354":
            while (line := lines.readline()) not in (b".\r\n", b""):
                pass
            if not say(replies.get("message", "250 ok")):
                return


def self_signed(directory: Path) -> ssl.SSLContext:
    """TLS with a certificate for 127.0.0.1 that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smtp.test")])
    begin = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    file = directory / "smtp.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def base64_of(secret: str) -> str:
    """The form in which a secret goes over the wire."""
    return base64.b64encode(secret.encode()).decode()
