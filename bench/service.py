"""The service under measurement: ``python -m mailsvc serve`` on a data directory of its own, used from outside only."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.processes import HOST, ROOT, CannotMeasure, free_port, plain_environment, running, wait_for_answer

PATH = "/api/api.php"
FORM = "application/x-www-form-urlencoded"

ROOT_PASSWORD = "root of the benchmark"

BOXES = 10
"""Mailboxes of the user whose list is asked for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A panel user and the domain that is his."""

    name: str
    password: str
    domain: str

    def form(self, operation: str, **fields: str) -> str:
        """The body that asks for ``operation`` ("" is the probe of the credentials)."""
        asked = {"subdo": operation} if operation else {}
        return urlencode(
            {"login": self.name, "pass": self.password, "module": "mailclient", "language": "en", **asked, **fields}
        )


LISTER = Caller("lister", "Lister-1", "lister.example")
"""Has BOXES mailboxes, and keeps them."""

ADDER = Caller("adder", "Adder-1", "adder.example")
"""Gets the mailboxes that are added."""


class Client:
    """A hosting panel with one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=30)

    def post(self, body: str, path: str = PATH) -> tuple[int, bytes]:
        """Status and body of the answer to one form."""
        self._connection.request("POST", path, body, {"Content-Type": FORM})
        response = self._connection.getresponse()
        return response.status, response.read()

    def code(self, body: str) -> int:
        """The ``error`` of the answer to one form. Raises CannotMeasure when the answer has none."""
        status, answer = self.post(body)
        if status != 200 or not answer:
            raise CannotMeasure(f"an operation was answered with HTTP {status}: {answer[:200]!r}")
        reply: dict[str, Any] = json.loads(answer)
        code: int = reply["error"]
        return code

    def demand(self, body: str) -> None:
        """Post a form that must succeed."""
        if code := self.code(body):
            raise CannotMeasure(f"an operation that should succeed was answered with code {code}")

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers."""

    port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{PATH}"

    @property
    def log(self) -> Path:
        return self.directory.with_suffix(".log")

    def client(self) -> Client:
        return Client(self.port)

    def mailboxes(self) -> int:
        """How many mailboxes are stored."""
        file = f"{(self.directory / 'mailsvc.sqlite3').as_uri()}?mode=ro"
        with closing(sqlite3.connect(file, uri=True)) as connection:
            found: int = connection.execute("SELECT count(*) FROM mailbox").fetchone()[0]
            return found

    def settle(self) -> None:
        """Wait until what was accepted before is worked off: a load generator that stops leaves requests under way."""
        before, now = -1, self.mailboxes()
        while now != before:
            time.sleep(0.3)
            before, now = now, self.mailboxes()


@dataclass(frozen=True, slots=True)
class Data:
    """A data directory, and the settings to serve it with (names without ``MAILSVC_``)."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def environment(self, port: int) -> dict[str, str]:
        """The environment to serve on ``port`` with."""
        settings = {
            "DATA_DIR": str(self.directory),
            "BIND": f"{HOST}:{port}",
            "HOSTNAME": "mail.example",
            "ROOT_PASSWORD": ROOT_PASSWORD,
            **self.settings,
        }
        return plain_environment() | {f"MAILSVC_{name}": value for name, value in settings.items()}

    def with_settings(self, **settings: str) -> "Data":
        """The same data, served with other settings."""
        return Data(self.directory, settings)


@contextmanager
def serving(data: Data) -> Iterator[Service]:
    """The service on ``data``, from its first answer until the block ends."""
    port = free_port()
    log = data.directory.with_suffix(".log")
    with running(["-m", "mailsvc", "serve"], data.environment(port), log) as process:
        wait_for_answer(port, "/healthz", process, log)
        yield Service(port, data.directory, process)


def small_data(directory: Path) -> Data:
    """A new data directory with LISTER and ADDER, made through the service and its command line."""
    data = Data(directory)
    with serving(data) as service:
        for caller in (LISTER, ADDER):
            _command(data, "user", "add", caller.name, "--password-stdin", typed=caller.password)
            _command(data, "domain", "add", caller.domain, "--owner", caller.name)
        with closing(service.client()) as client:
            for number in range(BOXES):
                address = f"box{number}@{LISTER.domain}"
                client.demand(LISTER.form("addmail", email=address, password="Box-1", quota="1024"))
    return data


def copy_of(data: Data, directory: Path) -> Data:
    """A copy of what no service has open."""
    shutil.copytree(data.directory, directory)
    return Data(directory, data.settings)


def _command(data: Data, *arguments: str, typed: str | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mailsvc", *arguments],
        cwd=ROOT,
        env=data.environment(1),
        input=typed,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise CannotMeasure(f"mailsvc {' '.join(arguments)}: {done.stderr.strip()}")
