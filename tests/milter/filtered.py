"""The whole arrangement of the mail servers, with the milter running as its own process beside them."""

import json
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dkim
from flask import Flask

import config
from mailsvc.services.ports import Ports, open_ports
from tests.mailhost.arrangement import running_host
from tests.mailhost.host import Host
from tests.servers.process import running


@dataclass(frozen=True, slots=True)
class FilteredHost:
    """A host whose Postfix asks the milter. ``ports`` are the use-cases' on the same database."""

    host: Host
    ports: Ports
    milter: ExitStack
    """The milter; closing it stops it."""

    @property
    def log(self) -> Path:
        """What the milter has said so far."""
        return self.host.site.directory / "milter" / "log"

    def verdicts(self) -> list[dict[str, Any]]:
        """What the milter has logged of messages so far."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if "verdict" in line]

    def start(self) -> None:
        """Start the milter, which takes connections when this returns."""
        self.milter.enter_context(_milter(self.host))

    def submit(self, login: str, message: str, *recipients: str) -> tuple[int, str]:
        """What Postfix answers at the end of DATA to ``login``, who sends ``message`` in lines divided by LF."""
        with self.host.submission(login) as connection:
            connection.mail(login)
            for recipient in recipients or (login,):
                assert connection.rcpt(recipient)[0] == 250
            code, text = connection.data(message.replace("\n", "\r\n"))
        return code, text.decode()

    def received(self, address: str) -> bytes:
        """The only message of a mailbox, once nothing is queued; it is removed."""
        self.host.wait_for_delivery()
        [message] = self.host.messages(address)
        with self.host.imap(address) as session:
            session.select()
            session.store("1:*", "+FLAGS", r"\Deleted")
            session.expunge()
        return message

    def published(self, name: bytes, timeout: int = 5) -> bytes | None:
        """The TXT record that the running PowerDNS serves, as dkimpy asks for it."""
        found = self.host.name_server.txt(name.decode().removesuffix("."))
        return found[0].encode() if found else None

    def verified(self, message: bytes) -> Sequence[str]:
        """The algorithms of the signatures of a message, all of which must verify."""
        verifier = dkim.DKIM(message)
        count = len([name for name, _ in verifier.headers if name.lower() == b"dkim-signature"])
        algorithms = []
        for index in range(count):
            assert verifier.verify(idx=index, dnsfunc=self.published)
            algorithms.append(verifier.signature_fields[b"a"].decode())
        return algorithms


@contextmanager
def filtered_host() -> Iterator[FilteredHost]:
    """Everything running."""
    with running_host(milter=True) as host, ExitStack() as milter:
        environ = dict(line.split("=", 1) for line in host.site.environment())
        settings = config.load(environ | {"MAILSVC_RESOLVER": f"127.0.0.1:{host.site.ports.dns}"})
        ports = open_ports(Flask("mailsvc"), settings)
        filtered = FilteredHost(host, ports, milter)
        filtered.start()
        yield filtered
        ports.store.close()


@contextmanager
def _milter(host: Host) -> Iterator[None]:
    site = host.site
    directory = site.directory / "milter"
    directory.mkdir(exist_ok=True)
    more = [
        f"MAILSVC_MILTER_BIND=127.0.0.1:{site.ports.milter}",
        f"MAILSVC_QUOTA_STATUS=127.0.0.1:{site.ports.quota_status}",
        "MAILSVC_LOG_FORMAT=json",
    ]
    place = ["env", f"--chdir={site.unit('WorkingDirectory')}"]
    arguments = [*place, *site.environment(), *more, sys.executable, "-m", "mailsvc", "milter"]
    with running(arguments, directory, lambda: _listens(site.ports.milter)):
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
