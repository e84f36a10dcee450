"""A program's way of calling, for tests."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.application import ROOT_SECRET

ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For tests whose outcome the engine cannot change."""

JSON = "application/json"
CALLS = ("edit", "show", "clear", "test")
FAMILIES = ("/email-settings", "/api/email-settings")

EMPTY = {
    "allow_selfsigned_certs": False,
    "encryption": "Plain",
    "from_email": "",
    "smtp_host": "",
    "smtp_port": 0,
    "username": "",
}
SAMPLE = {
    "allow_selfsigned_certs": False,
    "encryption": "Plain",
    "from_email": "string",
    "smtp_host": "string",
    "smtp_port": 123,
    "username": "string",
}
CHALLENGE = 'Basic realm="mailsvc", charset="UTF-8"'


def basic(name: str, secret: str) -> dict[str, str]:
    """The header that carries Basic credentials."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{secret}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Program:
    """Posts JSON to the calls, as root unless said otherwise."""

    client: FlaskClient
    headers: Mapping[str, str] = field(default_factory=lambda: basic("root", ROOT_SECRET))
    family: str = "/email-settings"

    def with_headers(self, **headers: str) -> "Program":
        """The same with other headers in the place of its own."""
        return replace(self, headers=_spelled(headers))

    def also(self, **headers: str) -> "Program":
        """The same with more headers."""
        return replace(
            self, headers={**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        )

    def send(self, call: str, body: str | bytes = b"", content_type: str | None = JSON, **more: Any) -> TestResponse:
        """The raw reply to ``body`` as it is."""
        path = call if call.startswith("/") else f"{self.family}/{call}"
        return self.client.post(path, data=body, content_type=content_type, headers=dict(self.headers), **more)

    def post(self, call: str, params: Mapping[str, Any] | None = None) -> TestResponse:
        """The raw reply to parameters."""
        return self.send(call, json.dumps({"params": params or {}}))

    def result(self, call: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a call that succeeds."""
        response = self.post(call, params)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = parsed(response)["result"]
        return result

    def refusal(self, call: str, params: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Status and message of a call that is refused."""
        return said(self.post(call, params))


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def parsed(response: TestResponse) -> dict[str, Any]:
    """The object of a reply. Asserts what every reply of this wire has in common."""
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name, _ in response.headers if name.lower().startswith("access-control")]
    body: dict[str, Any] = json.loads(response.get_data().decode("utf-8"))
    return body


def said(response: TestResponse) -> tuple[int, str]:
    """Status and message of a refusal, which has nothing beside them."""
    body = parsed(response)
    assert list(body) == ["error", "successful"] and list(body["error"]) == ["message"] and body["successful"] is False
    return response.status_code, body["error"]["message"]
