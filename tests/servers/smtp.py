"""An SMTP server of the tests' own, which does what a script says: also what no sane server does."""

import base64
import hmac
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PATIENCE = 30.0
"""Seconds after which a peer that does not go on is given up."""


class Gone(Exception):
    """The client has closed the connection."""


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock: socket.socket, heard: list[str]) -> None:
        sock.settimeout(PATIENCE)
        self.sock = sock
        self.heard = heard
        self._buffer = b""

    def say(self, *lines: str | bytes) -> None:
        """Send lines."""
        self.raw(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines))

    def raw(self, data: bytes) -> None:
        """Send ``data`` as it is. Raises Gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def hear(self) -> str:
        """The client's next line. Raises Gone."""
        while b"\r\n" not in self._buffer:
            try:
                received = self.sock.recv(65536)
            except OSError:
                raise Gone from None
            if not received:
                raise Gone
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        self.heard.append(line.decode("utf-8", "replace"))
        return self.heard[-1]

    def hear_message(self) -> bytes:
        """What follows DATA, as it came, without its end."""
        lines = []
        while (line := self.hear()) != ".":
            lines.append(line)
        return "".join(f"{line}\r\n" for line in lines).encode()

    def secure(self, context: ssl.SSLContext) -> None:
        """TLS from here on. Raises Gone when the client does not want it."""
        try:
            self.sock = context.wrap_socket(self.sock, server_side=True)
        except OSError:
            raise Gone from None

    def wait_until_gone(self) -> None:
        """Say nothing until the client goes. Raises Gone."""
        while True:
            self.hear()


Script = Callable[[Peer], None]


@dataclass(slots=True)
class Received:
    """A message that was taken, and how it came."""

    sender: str
    recipients: list[str]
    content: bytes
    secured: bool
    user: str | None
    password: str | None


@dataclass(slots=True)
class Scripted:
    """A server that answers. ``heard`` are all lines of all clients."""

    port: int
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    failures: list[BaseException] = field(default_factory=list)

    @property
    def verbs(self) -> list[str]:
        """The first words of what was heard."""
        return [line.split(" ")[0].upper() for line in self.heard]


@contextmanager
def scripted(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server on a loopback port that runs ``script`` with each client; with ``context`` under TLS from the start."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server = Scripted(listener.getsockname()[1])
        open_now: set[socket.socket] = set()
        threads: list[threading.Thread] = []

        def serve(sock: socket.socket) -> None:
            peer = Peer(sock, server.heard)
            try:
                with suppress(Gone):
                    if context is not None:
                        peer.secure(context)
                    script(peer)
            except BaseException as failure:
                server.failures.append(failure)
            finally:
                with suppress(OSError):
                    peer.sock.close()
                open_now.discard(sock)

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                server.connections += 1
                open_now.add(sock)
                threads.append(threading.Thread(target=serve, args=(sock,), daemon=True))
                threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            acceptor.join(PATIENCE)
            for sock in list(open_now):
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(PATIENCE)
    assert server.failures == []


@dataclass(slots=True, kw_only=True)
class Sane:
    """The script of a server that does everything right, with knobs. Keeps what it takes in ``received``."""

    mechanisms: Sequence[str] = ()
    users: dict[str, str] = field(default_factory=dict)
    starttls: ssl.SSLContext | None = None
    secured: bool = False
    extensions: Sequence[str] = ("8BITMIME", "SMTPUTF8")
    refuse_sender: str | None = None
    refuse_recipients: dict[str, str] = field(default_factory=dict)
    refuse_data: str | None = None
    refuse_message: str | None = None
    refuse_login: str = "535 5.7.8 Authentication credentials invalid"
    received: list[Received] = field(default_factory=list)

    def __call__(self, peer: Peer) -> None:
        """Talk to one client."""
        peer.say("220 sane.test ESMTP")
        secured = self.secured
        login: tuple[str, str] | tuple[None, None] = (None, None)
        sender, recipients = "", list[str]()
        while (line := peer.hear()).upper() != "QUIT":
            verb = line.upper()
            if verb.startswith("EHLO"):
                offers = [*self.extensions]
                offers += ["STARTTLS"] if self.starttls and not secured else []
                offers += [f"AUTH {' '.join(self.mechanisms)}"] if self.mechanisms else []
                lines = ["sane.test", *offers]
                peer.say(*(f"250-{text}" for text in lines[:-1]), f"250 {lines[-1]}")
            elif verb == "STARTTLS" and self.starttls:
                peer.say("220 go ahead")
                peer.secure(self.starttls)
                secured = True
            elif verb.startswith("AUTH"):
                name, password, proven = self._login(peer, line)
                login = (name, password) if proven else (None, None)
                peer.say("235 2.7.0 welcome" if proven else self.refuse_login.format(password=password))
            elif verb.startswith("MAIL FROM:"):
                sender, recipients = line[11:].split(">")[0], []
                peer.say(self.refuse_sender or "250 ok")
            elif verb.startswith("RCPT TO:"):
                recipient = line[9:].split(">")[0]
                refusal = self.refuse_recipients.get(recipient)
                if refusal is None:
                    recipients.append(recipient)
                peer.say(refusal or "250 ok")
            elif verb == "DATA":
                if self.refuse_data:
                    peer.say(self.refuse_data)
                    continue
                peer.say("354 go on")
                content = peer.hear_message()
                if not self.refuse_message:
                    self.received.append(Received(sender, recipients, content, secured, *login))
                peer.say(self.refuse_message or "250 2.0.0 queued as 1")
            else:
                peer.say("502 not implemented")
        peer.say("221 bye")

    def _login(self, peer: Peer, line: str) -> tuple[str, str, bool]:
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            if len(words) < 3:
                peer.say("334 ")
                words.append(peer.hear())
            _, name, password = _decoded(words[2]).split("\0")
        elif words[1].upper() == "LOGIN":
            peer.say("334 VXNlcm5hbWU6")
            name = _decoded(peer.hear())
            peer.say("334 UGFzc3dvcmQ6")
            password = _decoded(peer.hear())
        else:
            challenge = "<1896.697170952@sane.test>"
            peer.say(f"334 {base64.b64encode(challenge.encode()).decode()}")
            name, digest = _decoded(peer.hear()).rsplit(" ", 1)
            password = self.users.get(name, "")
            right = hmac.new(password.encode(), challenge.encode(), "md5").hexdigest()
            return name, password, name in self.users and digest == right
        return name, password, self.users.get(name) == password


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
