"""Reading requests, paths, methods and headers (acceptance lines 12 to 14)."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from mailsvc.protocols import bodies
from tests.protocols.webitel.web_client import (
    BAD_PARAMETERS,
    ON_SQLITE,
    SETTINGS,
    SMTP,
    WebClient,
    answer,
    error,
)

pytestmark = ON_SQLITE

WRITES = ("POST", "PUT", "DELETE", "GET", "PATCH")
JSON = "application/json"


def sent(client: FlaskClient, body: bytes, content_type: str = JSON, method: str = "POST", **headers: str) -> Any:
    """The reply to a body that nobody in particular sends."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(client.open(SETTINGS, method=method, data=body, content_type=content_type, headers=names))


# Bodies


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    ("body", "first_words"),
    [
        (b"{bad", "Unexpected token b in JSON at position 1"),
        (b'{"a":', "Unexpected end of JSON input"),
        (b"{", "Unexpected end of JSON input"),
        (b'{"a":"', "Unexpected end of JSON input"),
        (b"  ", "Unexpected"),
        (b'"text"', 'Unexpected token " in JSON at position 0'),
        (b" 5", "Unexpected token 5 in JSON at position 1"),
        (b"null", "Unexpected token n in JSON at position 0"),
        (b'{"a":1}x', "Unexpected token x in JSON at position 7"),
        (b"{'a':1}", "Unexpected token ' in JSON at position 1"),
        ("{\u00e9".encode(), "Unexpected token \u00e9 in JSON at position 1"),
    ],
)
def test_what_is_not_json_wins_over_everything(client: FlaskClient, method: str, body: bytes, first_words: str) -> None:
    status, reply = sent(client, body, method=method)
    assert (status, reply["status"]) == (400, "error")
    assert reply["info"].startswith(first_words)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1e999}', b'{"a":-1e999}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":' + b"9" * 400 + b"}",
     b'{"a":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", b"[" * 500_000, b'{"a":"\\ud800"}',
     b'{"\\udc00":1}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}'],
)  # fmt: skip
def test_what_cannot_be_given_back_is_refused(client: FlaskClient, body: bytes) -> None:
    assert sent(client, body) == BAD_PARAMETERS


def test_a_hundred_levels_are_kept(alice: WebClient) -> None:
    deep = b'{"provider":"smtp","options":' + b"[" * 99 + b"]" * 99 + b"}"
    assert alice.call("POST", SETTINGS, deep)[0] == 200
    assert b"[" * 99 + b"]" * 99 in alice.send("GET").data


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [("application/json; charset=latin1", "LATIN1"), ("application/json;charset=UTF-16", "UTF-16"),
     ('application/json; charset="utf-32"', "UTF-32")],
)  # fmt: skip
def test_another_charset_is_refused(client: FlaskClient, content_type: str, shown: str) -> None:
    assert sent(client, b"{}", content_type) == (415, error(f'unsupported charset "{shown}"'))


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate"])
def test_a_coded_body_is_refused(client: FlaskClient, encoding: str) -> None:
    refused = (415, error(f'unsupported content encoding "{encoding.lower()}"'))
    assert sent(client, b"{}", Content_Encoding=encoding) == refused
    assert sent(client, b"{}", Content_Encoding="identity") == (401, error("Invalid token"))


def test_a_body_that_is_too_long_is_refused(client: FlaskClient, alice: WebClient) -> None:
    longest = json.dumps({**SMTP, "a": ""}).encode()
    longest = longest[:-2] + b"x" * (bodies.BYTES - len(longest)) + longest[-2:]
    assert alice.call("POST", SETTINGS, longest)[0] == 200
    assert alice.call("GET")[0] == 200
    assert sent(client, longest + b" ") == (413, error("request entity too large"))


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", "", "json"]
)
def test_another_type_has_no_members(alice: WebClient, content_type: str) -> None:
    body = json.dumps(SMTP).encode()
    assert alice.call("POST", SETTINGS, body, headers={"Content-Type": content_type}) == BAD_PARAMETERS
    assert alice.call("POST", SETTINGS, b"{bad", headers={"Content-Type": content_type}) == BAD_PARAMETERS


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", "application/json;x=y"]
)
def test_json_may_have_parameters(alice: WebClient, content_type: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(SMTP).encode()
    assert alice.call("POST", SETTINGS, body, headers={"Content-Type": content_type})[0] == 200


def test_no_bytes_are_no_members(alice: WebClient) -> None:
    assert alice.call("POST", SETTINGS, SMTP)[0] == 200
    assert alice.call("GET", SETTINGS, b"")[0] == 200
    assert alice.call("POST", SETTINGS, b"") == BAD_PARAMETERS
    assert alice.call("DELETE", SETTINGS, b"")[0] == 200
    assert alice.call("DELETE", SETTINGS, {"anything": 1})[0] == 200


# Paths


@pytest.mark.parametrize(
    "path",
    [SETTINGS, f"{SETTINGS}/", f"/engine{SETTINGS}", f"/engine{SETTINGS}/", SETTINGS.upper(), "/Api/V2/Email/Settings/",
     f"/engine{SETTINGS.upper()}"],
)  # fmt: skip
def test_one_path_has_many_spellings(alice: WebClient, path: str) -> None:
    assert alice.call("POST", path, SMTP)[0] == 200
    assert alice.call("GET", path)[1]["provider"] == "smtp"
    head = alice.send("HEAD", path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("path", ["/login", "/LOGIN/", "/engine/login", "/engine/Logout", "/logout/"])
def test_the_paths_of_logins_too(client: FlaskClient, path: str) -> None:
    refused = (401, {"status": 401, "message": "Invalid credentials"})
    assert WebClient(client, {}).call("POST", path) == refused
    shown = path.removeprefix("/engine")
    for method in ("GET", "PUT", "HEAD"):
        response = WebClient(client, {}).send(method, path)
        assert response.status_code == 404
    assert WebClient(client, {}).call("GET", f"{path}?a=b") == (404, error(f"{shown}?a=b not found."))


OPEN = [SETTINGS, f"/engine{SETTINGS}/", f"{SETTINGS}/test", f"{SETTINGS}/TEST/a@b.example", "/api/v2/whoami", "/login",
        "/logout"]  # fmt: skip


@pytest.mark.parametrize("path", OPEN)
def test_options_is_answered_to_everybody(client: FlaskClient, path: str) -> None:
    response = client.options(path, data=b"{bad", content_type=JSON)
    assert (response.status_code, response.data) == (200, b"")
    assert "Allow" not in response.headers


UNKNOWN = [
    ("GET", "/api/v2"), ("GET", "/api/v2/"), ("GET", "/api/v2/email"), ("GET", "/API/V2/Accounts/%D1%8F?Q=1&x=%20"),
    ("POST", "/api/v2/whoami"), ("PATCH", SETTINGS), ("TRACE", SETTINGS), ("PROPFIND", f"{SETTINGS}/"),
    ("GET", f"{SETTINGS}/test"), ("PUT", f"{SETTINGS}/test/a@b.example"), ("POST", f"{SETTINGS}/test/a/b"),
    ("HEAD", f"{SETTINGS}/test"), ("OPTIONS", "/api/v2/unknown"), ("GET", f"{SETTINGS}//"), ("GET", "/api/v2/a%0Ab"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_what_is_unknown_is_told_only_to_whoever_has_signed_in(
    client: FlaskClient, alice: WebClient, method: str, path: str
) -> None:
    for prefix in ("", "/engine"):
        refused = WebClient(client, {}).send(method, prefix + path)
        told = alice.send(method, prefix + path)
        assert (refused.status_code, told.status_code) == (401, 404)
        if method != "HEAD":
            assert answer(refused)[1] == error("Invalid token")
            assert answer(told)[1] == error(f"{path} not found.")


def test_credentials_in_the_query_are_not_said_back(client: FlaskClient, alice: WebClient) -> None:
    query = f"a=1&access_token={alice.headers['X-Access-Token']}&x%5Fkey={alice.headers['X-Key']}&b"
    response = WebClient(client, {}).send("PATCH", f"{SETTINGS}?{query}")
    assert answer(response) == (404, error(f"{SETTINGS}?a=1&access_token=***&x%5Fkey=***&b not found."))


@pytest.mark.parametrize("path", ["/ENGINE/api/v2/whoami", "/engine/ENGINE/login"])
def test_the_prefix_is_lower_case(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/api/v2x", "/apis/v2", "/loginx", "/login.html", "/engine", "/engine/x", "/api"])
def test_what_only_looks_alike_is_nobodys(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.text) == (404, "404 Not Found\n")


# Other origins

NAMES = ("Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
         "Access-Control-Max-Age", "Access-Control-Allow-Credentials")  # fmt: skip
PANEL = "https://panel.example"


def granted(client: FlaskClient, method: str, origin: str | None, path: str = SETTINGS) -> dict[str, str]:
    """The headers for scripts of another origin in a reply."""
    response = client.open(path, method=method, headers={} if origin is None else {"Origin": origin})
    found = {name: value for name, value in response.headers.items() if name.startswith("Access-Control-")}
    return found | ({"Vary": response.headers["Vary"]} if "Vary" in response.headers else {})


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_no_origin_is_let_in_by_default(client: FlaskClient, method: str) -> None:
    for origin in (None, PANEL, "null"):
        assert granted(client, method, origin) == {}


class TestWithOrigins:
    """With a list of origins in the settings."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"CORS_ORIGINS": f"{PANEL}, http://localhost:8080"}

    @pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
    @pytest.mark.parametrize("path", [SETTINGS, "/login", "/api/v2/unknown"])
    def test_exactly_those_are_let_in(self, client: FlaskClient, method: str, path: str) -> None:
        assert granted(client, method, PANEL, path) == {
            "Access-Control-Allow-Origin": PANEL,
            "Vary": "Origin",
            "Access-Control-Allow-Methods": "GET,PUT,POST,PATCH,DELETE,OPTIONS",
            "Access-Control-Allow-Headers": "Content-type,Accept,X-Access-Token,X-Key",
            "Access-Control-Max-Age": "86400",
        }
        for origin in (None, "https://panel.example.evil", "http://panel.example", f"{PANEL}:444", "null", "*"):
            assert granted(client, method, origin, path) == {}
