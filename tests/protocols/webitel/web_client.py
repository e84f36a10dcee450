"""A web client's way of calling, for tests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.application import ALICE_SECRET

ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For tests whose outcome the engine cannot change."""

SETTINGS = "/api/v2/email/settings"
TEST = f"{SETTINGS}/test"

SMTP: Mapping[str, Any] = {"provider": "smtp", "options": {}}
"""The smallest document."""

BAD_PARAMETERS = (400, {"status": "error", "info": "Bad parameters."})
DENIED = (403, {"status": "error", "info": "Permission denied!"})

Answer = tuple[int, Any]


@dataclass(frozen=True, slots=True)
class WebClient:
    """Calls with the credentials in ``headers``."""

    client: FlaskClient
    headers: Mapping[str, str]

    def send(self, method: str, path: str = SETTINGS, body: Any = None, **options: Any) -> TestResponse:
        """The raw reply; ``body`` is sent as JSON, bytes as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self.headers, **options.pop("headers", {})}
        return self.client.open(path, method=method, data=data, headers=headers, **options)

    def call(self, method: str, path: str = SETTINGS, body: Any = None, **options: Any) -> Answer:
        """Status and parsed body of the reply."""
        return answer(self.send(method, path, body, **options))


def answer(response: TestResponse) -> Answer:
    """Status and parsed body. Asserts what every reply of this wire has in common."""
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert {"ETag", "X-Powered-By", "WWW-Authenticate", "Set-Cookie"}.isdisjoint(response.headers.keys())
    return response.status_code, json.loads(response.get_data())


def error(info: str, code: str | int | None = None) -> dict[str, Any]:
    """An error as this wire says it."""
    return {"status": "error", "info": info} | ({} if code is None else {"code": code})


def login(client: FlaskClient, name: str = "alice", secret: str = ALICE_SECRET) -> dict[str, Any]:
    """The reply to a login that succeeds."""
    status, reply = answer(client.post("/login", json={"username": name, "password": secret}))
    assert status == 200, reply
    return dict(reply)


def headers_of(reply: Mapping[str, Any]) -> dict[str, str]:
    """The headers that carry the credentials of a login."""
    return {"X-Key": reply["key"], "X-Access-Token": reply["token"]}


def signed_in(client: FlaskClient, name: str = "alice", secret: str = ALICE_SECRET) -> WebClient:
    """A client that has logged in."""
    return WebClient(client, headers_of(login(client, name, secret)))
