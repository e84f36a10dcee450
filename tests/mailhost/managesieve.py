"""As much of a ManageSieve client (RFC 5804) as puts a script in force."""

import base64
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRWPair

_END = re.compile(rb"(?:OK|NO|BYE)\b.*\r\n")


class Refused(Exception):
    """The server said NO; its words."""


@dataclass(frozen=True, slots=True)
class ManageSieve:
    """A session."""

    stream: BufferedRWPair

    def command(self, line: str, literal: bytes | None = None) -> bytes:
        """Send a command (with a literal at its end) and give what comes before the OK."""
        text = line.encode() + (b" {%d+}\r\n%b" % (len(literal), literal) if literal is not None else b"")
        self.stream.write(text + b"\r\n")
        self.stream.flush()
        return self.reply()

    def reply(self) -> bytes:
        """Everything up to the OK. Raises Refused."""
        before = b""
        while not _END.fullmatch(line := self.stream.readline()):
            assert line, "the server hung up"
            before += line
            if literal := re.search(rb"\{([0-9]+)\}\r\n$", line):
                before += self.stream.read(int(literal[1]))
        if line.startswith(b"OK"):
            return before
        literal = re.search(rb"\{([0-9]+)\}\r\n$", line)
        raise Refused((self.stream.read(int(literal[1])) if literal else line).decode())

    def put(self, name: str, script: str) -> None:
        """Store a script and make it the active one."""
        self.command(f'PUTSCRIPT "{name}"', script.encode())
        self.command(f'SETACTIVE "{name}"')


@contextmanager
def managesieve(port: int, context: ssl.SSLContext, user: str, password: str) -> Iterator[ManageSieve]:
    """A session of ``user``, after STARTTLS. Raises Refused when the login is."""
    # From elsewhere: between equal addresses Dovecot thinks TLS needless.
    with socket.create_connection(("127.0.0.1", port), timeout=60, source_address=("127.0.0.2", 0)) as plain:
        greeting = ManageSieve(plain.makefile("rwb"))
        assert b'"SASL" ""' in greeting.reply(), "a login without TLS is offered"
        greeting.command("STARTTLS")
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            session = ManageSieve(secure.makefile("rwb"))
            assert b"vacation" in session.reply()
            token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            session.command(f'AUTHENTICATE "PLAIN" "{token}"')
            yield session
