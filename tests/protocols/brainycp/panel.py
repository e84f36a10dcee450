"""A hosting panel's way of calling, for tests."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.application import ALICE_SECRET

Pair = tuple[str, str]

ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For tests whose outcome the engine cannot change."""

URLENCODED = "application/x-www-form-urlencoded"

SWITCHES = ("onspf", "offspf", "ondkim", "offdkim")
WRITING = ("addmail", "delmail", "addforward", "delforward", *SWITCHES)
LISTS = ("getlistmail", "getforwardmail")

BAD_PARAMETERS = (2, "Error in the parameter array")
WRONG_COMMAND = (1002, "Wrong command")
NO_RIGHTS = (1000, "You do not have permission to administer this user")


@dataclass(frozen=True, slots=True)
class Panel:
    """Posts forms as ``login``, in the vendor's keys and in English unless a call says otherwise."""

    client: FlaskClient
    login: str = "alice"
    secret: str = ALICE_SECRET

    def post(self, operation: str, **fields: str) -> dict[str, Any]:
        """The reply to one operation, as parsed JSON; HTTP 200 and the right content type are asserted."""
        response = self.send([("subdo", operation), ("language", "en"), *fields.items()])
        assert response.status_code == 200, response.text
        return parsed(response)

    def says(self, operation: str, **fields: str) -> tuple[int, str]:
        """Code and text of the reply to one operation."""
        reply = self.post(operation, **fields)
        return reply["error"], reply["mess"]

    def send(self, fields: Sequence[Pair], path: str = "/api/api.php", **options: Any) -> TestResponse:
        """The raw reply to ``fields``, sent after the credentials and the module."""
        credentials = [("login", self.login), ("pass", self.secret), ("module", "mailclient")]
        return form(self.client, [*credentials, *fields], path, **options)


def form(client: FlaskClient, fields: Sequence[Pair], path: str = "/api/api.php", **options: Any) -> TestResponse:
    """The raw reply to a form of exactly these fields, in this order."""
    return client.post(path, **urlencoded(fields), **options)


def urlencoded(fields: Sequence[Pair]) -> dict[str, Any]:
    """Body and content type of a form of exactly these fields, in this order, as options of a request."""
    return {"data": urlencode(fields), "content_type": URLENCODED}


def multipart(fields: Sequence[Pair]) -> dict[str, Any]:
    """The same in the other encoding."""
    parts = [f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    return {"data": "".join([*parts, "--limit--\r\n"]).encode(), "content_type": "multipart/form-data; boundary=limit"}


def basic(name: str, secret: str) -> dict[str, str]:
    """The header that carries Basic credentials."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{secret}".encode()).decode()}


def says(response: TestResponse) -> tuple[int, str]:
    """Code and text of a reply."""
    reply = parsed(response)
    return reply["error"], reply["mess"]


def parsed(response: TestResponse) -> dict[str, Any]:
    """The object of a reply. Asserts what every reply of this wire has in common."""
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "WWW-Authenticate" not in response.headers
    body: dict[str, Any] = json.loads(response.get_data().decode("utf-8"))
    assert list(body)[:4] == ["error", "mess", "code", "message"]
    assert (body["error"], body["mess"]) == (body["code"], body["message"])
    return body
