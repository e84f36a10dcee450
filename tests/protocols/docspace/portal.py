"""A client of the portal: one credential, and the calls it makes with it."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from mailsvc.core.smtp_profile import INSTALLATION
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import found

AUTHENTICATION = "/api/2.0/authentication"
SMTP = "/api/2.0/smtpsettings/smtp"
TEST = f"{SMTP}/test"
STATUS = f"{TEST}/status"

KEY = "864FE52C-1C1C-469F-9308-51DAFEFE7436"
"""The key of the customer's page."""

SAVED: Mapping[str, Any] = {
    "host": "mail.example.com",
    "port": 25,
    "senderAddress": "notify@example.com",
    "senderDisplayName": "Postman",
    "credentialsUserName": "notify@example.com",
    "credentialsUserPassword": "{password}",
    "enableAuth": True,
}
"""The body of the customer's page."""

NOBODY: Mapping[str, str] = {}


def cookie(token: str) -> dict[str, str]:
    """The header that proves by cookie."""
    return {"Cookie": f"asc_auth_key={token}"}


def basic(name: str, password: str) -> dict[str, str]:
    """The header that proves by HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Answer(Protocol):
    """What tests ask of an answer."""

    status_code: int
    headers: Headers
    data: bytes
    text: str
    json: Any
    content_type: str


class Portal:
    """Calls with ``headers`` and what a single call adds; keeps no cookies."""

    def __init__(self, client: FlaskClient, headers: Mapping[str, str] = NOBODY) -> None:
        self._client = client.application.test_client(use_cookies=False)
        self._headers = headers

    def call(self, method: str, path: str, headers: Mapping[str, str] = NOBODY, **sent: Any) -> Answer:
        """One request."""
        answer: Any = self._client.open(path, method=method, headers={**self._headers, **headers}, **sent)
        return answer  # type: ignore[no-any-return]

    def get(self, path: str = SMTP, **headers: str) -> Answer:
        """GET; underscores in header names stand for hyphens."""
        return self.call("GET", path, _named(headers))

    def delete(self, path: str = SMTP, **headers: str) -> Answer:
        """DELETE without a body."""
        return self.call("DELETE", path, _named(headers))

    def save(self, members: object, **headers: str) -> Answer:
        """POST ``members`` as the settings."""
        return self.call("POST", SMTP, _named(headers), json=members)

    def log_in(self, name: str, password: str, path: str = AUTHENTICATION, **headers: str) -> Answer:
        """POST a name and a password."""
        return self.call("POST", path, _named(headers), json={"userName": name, "password": password})


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def links(path: str, method: str) -> str:
    """The member of every envelope that says what was asked for."""
    return f'"links":[{{"href":"http://localhost{path}","action":"{method}"}}]'


def profiles(ports: Ports) -> list[tuple[Any, ...]]:
    """Every SMTP profile there is, whole."""
    return found(ports, "SELECT * FROM smtp_profile ORDER BY scope")


def set_installation(ports: Ports, *, password: str | None = None, **values: Any) -> None:
    """Set the installation's profile, as another dialect does."""
    smtp_profiles.change(ports, act(), INSTALLATION, lambda old: replace(old, **values), password, subject="test")


def unknown_token() -> str:
    """Nobody's."""
    return secrets.token_urlsafe(32)
