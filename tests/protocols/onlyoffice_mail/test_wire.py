"""Credentials, forged requests, bodies and types: what comes before any method (contract, sections 2 and 3)."""

import gzip
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from mailsvc.services import tokens
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, act
from tests.protocols.onlyoffice_mail.office import ACCOUNTS, PREFIX, Foreign, Office, basic, cookie, refusal
from tests.services.callers import found

FORMAT, ARGUMENT, GENERAL, MISSING = -2146233033, -2147024809, -2146233088, -2146233069

NOT_JSON = (400, "The request body is not valid JSON.", GENERAL)
DENIED = (403, "Access denied", -2146233078)
NOT_FOUND = (404, "Method not found", MISSING)
RANGE = (400, "Value does not fall within the expected range.", ARGUMENT)
FORM = "application/x-www-form-urlencoded"


def test_every_kind_of_credential(client: FlaskClient, key: str) -> None:
    for headers in (
        {"Authorization": key},
        {"Authorization": key.lower()},
        {"Authorization": f"Bearer {key}"},
        cookie(key),
        basic("alice", ALICE_SECRET),
        basic("ALICE", ALICE_SECRET),
    ):
        assert Office(client, headers).get() == []


@pytest.mark.parametrize(
    "path", ["", "/single?email=a@b.c", "/nonsense/x/y", f"{PREFIX}/nothing", PREFIX, f"{ACCOUNTS}.xml"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_without_a_credential(client: FlaskClient, path: str, method: str) -> None:
    answer = Office(client).call(method, path)
    assert (answer.status_code, answer.text) == (401, "Unauthorized")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "WWW-Authenticate" not in answer.headers


def test_a_wrong_header_decides_against_a_right_cookie(client: FlaskClient, key: str) -> None:
    for wrong in ("nonsense", "Bearer nonsense", basic("alice", "no")["Authorization"], "Basic %%%", "Digest x=y"):
        answer = Office(client, {**cookie(key), "Authorization": wrong}).call("GET")
        assert (answer.status_code, answer.text) == (401, "Unauthorized")
        assert answer.headers["WWW-Authenticate"] == 'Basic Realm="localhost"'


def test_a_token_elsewhere_counts_for_nothing(client: FlaskClient, key: str) -> None:
    for name in ("Authorization", "token", "asc_auth_key"):
        assert Office(client).call("GET", f"?{name}={key}").status_code == 401
        assert Office(client).call("PUT", data={name: key}).status_code == 401


def test_a_login_of_the_portal_is_good_here_until_logout(client: FlaskClient) -> None:
    answer = client.post("/api/2.0/authentication", json={"userName": "alice", "password": ALICE_SECRET})
    token = json.loads(answer.text)["response"]["token"]
    caller = Office(client, {"Authorization": token})
    assert caller.get() == []
    client.post("/api/2.0/authentication/logout", headers={"Authorization": token})
    assert caller.call("GET").status_code == 401


def test_basic_is_no_way_to_go_on_guessing(client: FlaskClient) -> None:
    for _ in range(5):
        assert Office(client, basic("alice", "no")).call("GET").status_code == 401
    assert Office(client, basic("alice", ALICE_SECRET)).call("GET").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Origin": "https://localhost"},
        {"Referer": "https://evil.example/page"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_forged_request_does_nothing(client: FlaskClient, key: str, ports: Ports, headers: dict[str, str]) -> None:
    caller = Office(client, cookie(key))
    for method, path in (("POST", ""), ("PUT", ""), ("PUT", "/state"), ("PUT", "/default"), ("DELETE", "")):
        answer = caller.call(method, path, headers, json={"email": "a@b.c", "isDefault": False})
        assert refusal(answer) == DENIED
    assert refusal(caller.call("DELETE", "/a@b.c", headers)) == DENIED
    # With a header of its own it cannot be forged; and reading has no effect.
    proved = Office(client, {"Authorization": key})
    assert proved.call("PUT", "/default", headers, json={"email": "a@b.c"}).status_code == 200
    assert caller.call("GET", "", headers).status_code == 200
    assert found(ports, "SELECT count(*) FROM audit_entry WHERE outcome = 'Forged'") == [(6,)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_basic_that_a_browser_remembered(client: FlaskClient, ports: Ports, headers: dict[str, str]) -> None:
    caller = Office(client, basic("alice", ALICE_SECRET))
    form = {"email": "a@b.c", "isDefault": "false"}
    for method, path in (("POST", ""), ("POST", "/simple"), ("PUT", "/state"), ("PUT", "/default"), ("DELETE", "")):
        assert refusal(caller.call(method, path, headers, data=form)) == DENIED
    assert refusal(caller.call("DELETE", "/a@b.c", headers)) == DENIED
    assert found(ports, "SELECT count(*) FROM audit_entry WHERE outcome = 'Forged'") == [(6,)]
    # Reading has no effect; and programs, which name no site, go on.
    assert caller.call("GET", "", headers).status_code == 200
    same = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    for own in ({}, same):
        assert caller.call("PUT", "/default", own, data=form).status_code == 200


def test_a_cookie_with_a_form(client: FlaskClient, key: str) -> None:
    caller = Office(client, cookie(key))
    form = {"email": "a@b.c", "isDefault": "false"}
    assert refusal(caller.call("PUT", "/default", data=form)) == DENIED
    assert refusal(caller.call("PUT", "/default", data=json.dumps(form), content_type="text/plain")) == DENIED
    for kind in ("application/json", "text/json", "application/vnd.x+json; charset=utf-8"):
        answer = caller.call("PUT", "/default", data=json.dumps(form), content_type=kind)
        assert answer.status_code == 200
    same = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert caller.call("PUT", "/default", same, json=form).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", ""),
        ("HEAD", "/single/x"),
        ("GET", ".xml"),
        ("GET", "/single.xml"),
        ("GET", "/state"),
        ("DELETE", "/single"),
        ("PUT", "/a@b.c"),
        ("POST", "/state"),
        ("GET", f"{PREFIX}/nothing"),
        ("GET", f"{PREFIX}/operations"),
        ("POST", f"{PREFIX}/operations/1"),
        ("GET", "/a/b"),
    ],
)
def test_unknown_methods(alice: Office, method: str, path: str) -> None:
    answer = alice.call(method, path)
    if method == "HEAD":
        assert answer.status_code == 404
    elif path == "/a/b":
        # A name with a slash in it is an address like any other, if not a good one.
        assert answer.status_code == 500
    else:
        assert refusal(answer) == NOT_FOUND


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"x"', b"null", b'{"port": NaN}', b'{"port": Infinity}', b'{"a": "\xff"}', b'{"a": "\\ud800"}',
     b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", b"\xef\xbb\xbf{}", b"{} x"],
)  # fmt: skip
def test_what_is_not_json(alice: Office, body: bytes) -> None:
    assert refusal(alice.call("PUT", data=body, content_type="application/json")) == NOT_JSON


def test_other_content(alice: Office) -> None:
    wrong = (415, "Unsupported Media Type", GENERAL)
    assert refusal(alice.call("PUT", data=b"<x/>", content_type="application/xml")) == wrong
    assert refusal(alice.call("PUT", data=b"{}")) == wrong
    packed = {"Content-Encoding": "gzip"}
    assert refusal(alice.call("PUT", "", packed, data=gzip.compress(b"{}"), content_type="application/json")) == wrong
    assert refusal(alice.call("PUT", content_type="application/xml")) == RANGE


def test_too_much(alice: Office) -> None:
    body = json.dumps({"name": "x" * 1_048_576}).encode()
    large = alice.call("PUT", data=body, content_type="application/json")
    assert refusal(large) == (413, "Request Entity Too Large", GENERAL)


def test_names_in_any_case_and_body_before_query(alice: Office, servers: Foreign) -> None:
    email = servers.address()
    body = {name.upper(): value for name, value in servers.sixteen(email, imap="True").items()}
    assert alice.done("POST", "?EMAIL=other@x.org&name=query&unknown=1", **body)["name"] == "My box"
    assert [row["email"] for row in alice.get()] == [email]
    assert alice.call("DELETE", f"?Email={email}").status_code == 200


def test_forms_and_values_as_text(alice: Office, servers: Foreign) -> None:
    email = servers.address()
    form = {name: str(value) for name, value in servers.sixteen(email).items()}
    form |= {"imap": "TRUE", "restrict": "false", "incoming_encryption_type": "none", "auth_type_in": "LOGIN"}
    answer = alice.call("POST", data=urlencode(form), content_type=FORM)
    assert answer.status_code == 201, answer.text
    single = alice.get(f"/{email}")
    assert (single["imap"], single["restrict"], single["auth_type_in"]) == (True, False, 1)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"port": "abc"}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"port": 1.5}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"port": True}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"port": [1]}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"port": 2**31}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"port": "9" * 5000}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"smtp_auth": "yes"}, (400, "String was not recognized as a valid Boolean.", FORMAT)),
        ({"restrict": 1}, (400, "String was not recognized as a valid Boolean.", FORMAT)),
        ({"incoming_encryption_type": "TLS"}, (400, "Requested value 'TLS' was not found.", ARGUMENT)),
        ({"auth_type_smtp": "Ntlm"}, (400, "Requested value 'Ntlm' was not found.", ARGUMENT)),
        ({"auth_type_smtp": {}}, (400, "Input string was not in a correct format.", FORMAT)),
        ({"name": ["x"]}, RANGE),
        ({"name": True}, RANGE),
        ({"name": "x" * 256}, RANGE),
        ({"password": "x" * 1025}, RANGE),
        ({"account": "a\r\nA1 LOGOUT"}, RANGE),
        ({"password": "a\nb"}, RANGE),
        ({"server": "a\0b"}, RANGE),
        # The first in the order of the page counts.
        ({"port": "abc", "smtp_auth": "yes"}, (400, "Input string was not in a correct format.", FORMAT)),
        # Types come before the address, and that before ranges.
        ({"port": "abc", "email": ""}, (400, "Input string was not in a correct format.", FORMAT)),
        (
            {"email": "x", "name": "x" * 256},
            (500, "The specified string is not in the form required for an e-mail address.", FORMAT),
        ),
    ],
)
def test_values_of_other_types(
    alice: Office, servers: Foreign, members: dict[str, Any], expected: tuple[int, str, int]
) -> None:
    for method in ("POST", "PUT"):
        assert alice.refusal(method, **servers.sixteen(servers.address()) | members) == expected
    assert servers.heard == []


def test_an_inactive_user(client: FlaskClient, ports: Ports, key: str) -> None:
    from mailsvc.services import users

    users.disable(ports, act(), name="alice")
    for headers in ({"Authorization": key}, cookie(key), basic("alice", ALICE_SECRET)):
        assert Office(client, headers).call("GET").status_code == 401
    users.enable(ports, act(), name="alice")
    assert Office(client, {"Authorization": key}).get() == []
    tokens.revoke_key(ports, act(), number=1)
    assert Office(client, {"Authorization": key}).call("GET").status_code == 401
