"""A hosting panel's way of calling, for tests."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.application import ALICE_SECRET

Pair = tuple[str, str]


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

    def send(self, fields: Sequence[Pair], path: str = "/api/api.php", **options: Any) -> TestResponse:
        """The raw reply to ``fields``, sent after the credentials and the module."""
        credentials = [("login", self.login), ("pass", self.secret), ("module", "mailclient")]
        return form(self.client, [*credentials, *fields], path, **options)


def form(client: FlaskClient, fields: Sequence[Pair], path: str = "/api/api.php", **options: Any) -> TestResponse:
    """The raw reply to a form of exactly these fields, in this order."""
    return client.post(path, data=urlencode(fields), content_type="application/x-www-form-urlencoded", **options)


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
