"""The whole arrangement, running, with what a panel, a foreign mail server and a mail program do to it."""

import base64
import imaplib
import json
import os
import poplib
import signal
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.cli.command_line import CommandLine
from tests.mailhost.site import Site
from tests.servers.powerdns import PowerDns
from tests.service.running import wait_until

LIMIT = 60.0
"""Seconds after which what takes half a second on an idle machine has failed."""

SENDER = "someone@elsewhere.test"
SECRET = "Box-1"


class Daemon:
    """A server that a test may stop, kill and start again. It runs within the block."""

    def __init__(self, run: Callable[[], AbstractContextManager[int]]) -> None:
        self._run = run
        self._running = ExitStack()
        self._pid: int | None = None

    def __enter__(self) -> "Daemon":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it unless it runs; it is ready when this returns."""
        if self._pid is None:
            self._pid = self._running.enter_context(self._run())

    def stop(self) -> None:
        """End it in good order, if it runs."""
        self._pid = None
        self._running.close()

    def kill(self) -> None:
        """End all its processes at once, by SIGKILL."""
        assert self._pid is not None
        os.killpg(self._pid, signal.SIGKILL)
        self.stop()


@dataclass(frozen=True, slots=True)
class Host:
    """Postfix, Dovecot, PowerDNS and mailsvc on loopback, and a client's view of each."""

    site: Site
    name_server: PowerDns
    service: Daemon
    """mailsvc."""

    def call(self, operation: str, **fields: str) -> int:
        """The code that mailsvc answers to alice's panel."""
        form = {"login": "alice", "pass": "Panel-1", "module": "mailclient", "subdo": operation, **fields}
        address = f"http://127.0.0.1:{self.site.ports.http}/api/api.php"
        with urlopen(address, urlencode(form).encode(), timeout=LIMIT) as reply:
            code: int = json.load(reply)["error"]
        return code

    def command(self, line: str, *, stdin: str = "") -> str:
        """What the administrator's command line says to ``line``, which must succeed."""
        settings = dict(assignment.split("=", 1) for assignment in self.site.environment())
        return CommandLine(settings)(*line.split(), stdin=stdin).text

    def add(self, *addresses: str, password: str = SECRET, quota: int = 0) -> None:
        """Mailboxes, which have to be there when this returns. ``quota`` in MiB."""
        for address in addresses:
            assert self.call("addmail", email=address, password=password, quota=str(quota)) == 0

    def forward(self, source: str, *targets: str, keep_local: bool = False) -> None:
        """A forward, in force when this returns."""
        more = {"save_local": "1"} if keep_local else {}
        assert self.call("addforward", source=source, target=",".join(targets), **more) == 0

    def smtp(self, port: int | None = None) -> smtplib.SMTP:
        """A greeted connection to port 25, or another one."""
        connection = smtplib.SMTP("127.0.0.1", port or self.site.ports.smtp, "client.test", timeout=LIMIT)
        connection.ehlo()
        return connection

    @contextmanager
    def submission(self, login: str, password: str = SECRET) -> Iterator[smtplib.SMTP]:
        """A connection on which ``login`` may send."""
        port, context = self.site.ports.submissions, self.tls()
        with smtplib.SMTP_SSL("127.0.0.1", port, "client.test", timeout=LIMIT, context=context) as connection:
            connection.ehlo()
            assert authenticated(connection, login, password) == 235
            yield connection

    def recipient(self, address: str, *, size: int | None = 1000) -> tuple[int, str]:
        """What Postfix says to a foreign server that has mail of ``size`` bytes (or says none) for ``address``."""
        with self.smtp() as connection:
            connection.mail(SENDER, [] if size is None else [f"size={size}"])
            code, text = connection.rcpt(address)
        return code, text.decode()

    def send(self, recipient: str, subject: str, body: str = "Hello", sender: str = SENDER) -> None:
        """Mail from outside, wherever it goes: there when this returns."""
        head = f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n"
        with self.smtp() as connection:
            connection.sendmail(sender, [recipient], f"{head}{body}\r\n")
        self.wait_for_delivery()

    def queued(self) -> list[Path]:
        """Every message that Postfix still has."""
        queues = [self.site.directory / "var/spool/postfix" / name for name in ("incoming", "active", "deferred")]
        return [path for queue in queues for path in queue.rglob("*") if path.is_file()]

    def wait_for_delivery(self) -> None:
        """Until nothing is queued; nothing may have to be tried again."""
        expires = time.monotonic() + LIMIT
        while queued := self.queued():
            assert not any("deferred" in path.parts for path in queued), self.site.logs()
            assert time.monotonic() < expires, self.site.logs()
            time.sleep(0.01)

    def tls(self) -> ssl.SSLContext:
        """Trusts the certificate of this run alone."""
        return ssl.create_default_context(cafile=self.site.directory / "tls/fullchain.pem")

    @contextmanager
    def imap(self, address: str, password: str = SECRET) -> Iterator[imaplib.IMAP4_SSL]:
        """A session in a mailbox. imaplib's error when the login is refused."""
        with imaplib.IMAP4_SSL("127.0.0.1", self.site.ports.imaps, ssl_context=self.tls(), timeout=LIMIT) as session:
            session.login(address, password)
            yield session

    def inbox(self, address: str, password: str = SECRET) -> list[str]:
        """The subjects of the messages in an inbox, oldest first."""
        return [subject(message) for message in self.messages(address, password)]

    def messages(self, address: str, password: str = SECRET, folder: str = "INBOX") -> list[bytes]:
        """The messages in a folder, oldest first."""
        with self.imap(address, password) as session:
            count = session.select(folder, readonly=True)[1][0]
            parts = session.fetch("1:*", "(BODY[])")[1] if count != b"0" else []
        return [part[1] for part in parts if isinstance(part, tuple)]

    def lets_in(self, address: str, password: str = SECRET) -> bool:
        """Whether that is the password of a mailbox, over IMAP."""
        try:
            self.inbox(address, password)
        except imaplib.IMAP4.error as refusal:
            assert "AUTHENTICATIONFAILED" in str(refusal), f"{refusal}\n{self.site.logs()}"
            return False
        return True

    def reload_dovecot(self, known: str) -> None:
        """Let Dovecot open everything anew; in the midst of it, it tells a login to come again.

        It is over when this returns: it has heard of it, and has let in the mailbox ``known`` three times since, as one
        process of before may answer once more.
        """
        heard = self._reloads_heard()
        self.site.run(f"doveadm -c {self.site.directory}/etc/dovecot/dovecot.conf reload")
        wait_until(lambda: self._reloads_heard() > heard, "Dovecot to hear of its reload")
        wait_until(lambda: all(self._lets_in_by_now(known) for _ in range(3)), "Dovecot to let in again")

    def _reloads_heard(self) -> int:
        return (self.site.directory / "dovecot.log").read_text(errors="replace").count("SIGHUP received")

    def _lets_in_by_now(self, known: str) -> bool:
        with suppress(imaplib.IMAP4.error, OSError):
            self.inbox(known)
            return True
        return False

    def pop3(self, address: str, password: str = SECRET) -> int | None:
        """The number of messages that POP3 finds in a mailbox; None when it does not let in."""
        session = poplib.POP3_SSL("127.0.0.1", self.site.ports.pop3s, context=self.tls(), timeout=LIMIT)
        try:
            session.user(address)
            session.pass_(password)
            return session.stat()[0]
        except poplib.error_proto as refusal:
            assert "Authentication failed" in str(refusal), f"{refusal}\n{self.site.logs()}"
            return None
        finally:
            session.quit()


def subject(message: bytes) -> str:
    """The subject of a message that was sent by ``Host.send``."""
    head = message.split(b"\r\n\r\n")[0].decode().splitlines()
    return next(line.removeprefix("Subject: ") for line in head if line.startswith("Subject: "))


def authenticated(connection: smtplib.SMTP, user: str, password: str) -> int:
    """The code that answers one attempt; smtplib's own login makes two."""
    return connection.docmd("AUTH PLAIN", base64.b64encode(f"\0{user}\0{password}".encode()).decode())[0]
