"""Small servers that do exactly what a test tells them, for what no real server can be brought to do."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PATIENCE = 60.0
"""Seconds after which a script has failed that waits for its client."""


class Talk:
    """One conversation, seen from the server."""

    def __init__(self, sock: socket.socket, heard: list[bytes]) -> None:
        self.sock = sock
        self._heard = heard
        self._held = b""

    def say(self, *lines: str | bytes) -> None:
        """Send lines."""
        self.sock.sendall(b"".join((line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def hear(self) -> str:
        """The next line; EOFError when the client has gone."""
        while b"\n" not in self._held:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        self._heard.append(line.rstrip(b"\r"))
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes; EOFError when the client has gone before."""
        while len(self._held) < size:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self._held += data
        taken, self._held = self._held[:size], self._held[size:]
        self._heard.append(taken)
        return taken

    def wait(self) -> None:
        """Say nothing until the client goes."""
        while self.sock.recv(65536):
            pass


@dataclass
class Scripted:
    """A running server: its port on 127.0.0.1, the lines it has heard, and how many have called."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    calls: int = 0

    def heard_any(self, text: str) -> bool:
        """Whether any line held ``text``."""
        return any(text.encode() in line for line in self.heard)


@contextmanager
def scripted(script: Callable[[Talk], None]) -> Iterator[Scripted]:
    """A server that runs ``script`` for each connection, each in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener.getsockname()[1])
        talks: list[tuple[socket.socket, threading.Thread]] = []
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    sock, _ = listener.accept()
                    if ended.is_set():
                        sock.close()
                        return
                    server.calls += 1
                    sock.settimeout(PATIENCE)
                    thread = threading.Thread(target=_talk, args=(script, sock, server.heard), daemon=True)
                    talks.append((sock, thread))
                    thread.start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            ended.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", server.port), 5).close()
            thread.join(5)
            for sock, talk in talks:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                talk.join(5)


def _talk(script: Callable[[Talk], None], sock: socket.socket, heard: list[bytes]) -> None:
    with sock, suppress(OSError, EOFError):
        script(Talk(sock, heard))


def imap_login(talk: Talk, *capabilities: str, reply: str = "OK welcome") -> str:
    """Talk to an IMAP client up to the answer to its LOGIN; gives that line."""
    talk.say("* OK ready")
    while True:
        tag, _, command = talk.hear().partition(" ")
        if command.upper() == "CAPABILITY":
            talk.say(" ".join(("* CAPABILITY IMAP4rev1", *capabilities)), f"{tag} OK done")
        else:
            talk.say(f"{tag} {reply}")
            return command


USUAL = {
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go on",
    "RSET": "250 ok",
    "QUIT": "221 bye",
    ".": "250 kept",
    "BDAT": "250 kept",
}


def smtp(
    talk: Talk, *extensions: str, reply: Callable[[str], str | None] = lambda _: None, greeting: str = "220 hello"
) -> None:
    """Talk to an SMTP or LMTP client until it leaves. ``reply`` may answer a command, or the end of data (".")."""
    talk.say(greeting)
    while True:
        line = talk.hear()
        word = line.split(" ")[0].upper()
        if word in ("EHLO", "LHLO"):
            names = ("foreign.test", *extensions)
            talk.say(*(f"250{'-' if number < len(names) else ' '}{name}" for number, name in enumerate(names, 1)))
            continue
        if word == "BDAT":
            talk.take(int(line.split(" ")[1]))
        answer = reply(line) or USUAL.get(word, "500 what?")
        talk.say(answer)
        if word == "QUIT":
            return
        if word == "DATA" and answer.startswith("354"):
            while talk.hear() != ".":
                pass
            talk.say(reply(".") or USUAL["."])
