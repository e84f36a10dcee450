"""A client of ONLYOFFICE Mail, and the foreign servers that its accounts are on."""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.servers.dovecot_mail import PASSWORD, DovecotMail
from tests.servers.scripted import Talk, scripted, smtp

PREFIX = "/api/2.0/mail"
ACCOUNTS = f"{PREFIX}/accounts"

KEY = "864FE52C-1C1C-469F-9308-51DAFEFE7436"
"""The key of the customer's page."""

GENERIC = "Some unexpected error has occurred. Please try again later."

SMTP_PASSWORD = "Submit-1"

NOBODY: Mapping[str, str] = {}

_numbers = itertools.count(1)


def cookie(token: str) -> dict[str, str]:
    """The header that proves by cookie."""
    return {"Cookie": f"asc_auth_key={token}"}


def basic(name: str, password: str) -> dict[str, str]:
    """The header that proves by HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Office:
    """Calls with ``headers``; keeps no cookies."""

    def __init__(self, client: FlaskClient, headers: Mapping[str, str] = NOBODY) -> None:
        self._client = client.application.test_client(use_cookies=False)
        self._headers = headers

    def call(self, method: str, path: str = "", headers: Mapping[str, str] = NOBODY, **sent: Any) -> TestResponse:
        """One request below ``/api/2.0/mail/accounts``, or at a whole path."""
        whole = path if path.startswith("/api") else ACCOUNTS + path
        return self._client.open(whole, method=method, headers={**self._headers, **headers}, **sent)

    def get(self, path: str = "") -> Any:
        """The response member of a GET that must succeed."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)["response"]

    def done(self, method: str, path: str = "", **members: Any) -> Any:
        """The response member of a call with JSON that must succeed."""
        answer = self.call(method, path, json=members)
        assert answer.status_code == (201 if method == "POST" else 200), answer.text
        return json.loads(answer.text)["response"]

    def refusal(self, method: str, path: str = "", **members: Any) -> tuple[int, str, int]:
        """Status, message and number of a call with JSON that must be refused."""
        return refusal(self.call(method, path, json=members))


def refusal(answer: TestResponse) -> tuple[int, str, int]:
    """What an error says, which must have the form of this wire."""
    body = json.loads(answer.text)
    assert list(body) == ["status", "statusCode", "error"]
    assert list(body["error"]) == ["message", "hresult", "data"]
    assert (body["status"], body["statusCode"], body["error"]["data"]) == (1, answer.status_code, {})
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    return answer.status_code, body["error"]["message"], body["error"]["hresult"]


@dataclass
class Foreign:
    """A Dovecot, and a submission server that lets in whoever has SMTP_PASSWORD. ``heard`` is what that was told."""

    dovecot: DovecotMail
    smtp_port: int = 0
    heard: list[bytes] = field(default_factory=list)

    def address(self) -> str:
        """A new user's."""
        return f"office{next(_numbers)}@foreign.test"

    def sixteen(self, email: str, **more: Any) -> dict[str, Any]:
        """The customer's sixteen members, as the official web client sends them."""
        members = {
            "name": "My box",
            "email": email,
            "account": email,
            "password": PASSWORD,
            "port": self.dovecot.imap,
            "server": "127.0.0.1",
            "smtp_account": email,
            "smtp_password": SMTP_PASSWORD,
            "smtp_port": self.smtp_port,
            "smtp_server": "127.0.0.1",
            "smtp_auth": True,
            "restrict": True,
            "incoming_encryption_type": 0,
            "outcoming_encryption_type": 0,
            "auth_type_in": 1,
            "auth_type_smtp": 1,
        }
        assert len(members) == 16
        return members | more


@contextmanager
def submission(*extensions: str, password: str = SMTP_PASSWORD) -> Iterator[tuple[int, list[bytes]]]:
    """A submission server that lets in who has ``password``: its port, and the lines it has heard."""

    def reply(line: str) -> str | None:
        if not line.startswith("AUTH PLAIN"):
            return None
        secret = base64.b64decode(line.split()[2]).decode().split("\0")[2]
        return "235 2.7.0 welcome" if secret == password else "535 5.7.8 Authentication failed"

    def script(talk: Talk) -> None:
        smtp(talk, *extensions, reply=reply)

    with scripted(script) as server:
        yield server.port, server.heard
