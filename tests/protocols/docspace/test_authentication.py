"""Login and logout in both forms (contract, section 2.1, and checklist 27)."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, ROOT_SECRET, act
from tests.protocols.docspace.portal import AUTHENTICATION, Portal, basic, cookie, unknown_token
from tests.services.callers import found
from tests.services.test_throttle import pass_time

JSON_PATH = f"{AUTHENTICATION}.json"
LOGOUT = f"{AUTHENTICATION}/logout"

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""For what the engine makes no difference to."""

WRONG = (
    '{"error":{"message":"User authentication failed","type":null,"stack":null,"hresult":0},"status":1,'
    '"statusCode":401}'
)
BLOCKED = (
    '{"error":{"message":"Too many login attempts. Please try again later","type":null,"stack":null,"hresult":0},'
    '"status":1,"statusCode":403}'
)
WRONG_JSON = (
    '{"status":1,"statusCode":500,"error":{"message":"User authentication failed","hresult":-2146233087,"data":{}}}'
)
BLOCKED_JSON = WRONG_JSON.replace("User authentication failed", "Login Fail. Too many attempts")


@pytest.mark.parametrize("suffix", ["", "/"])
def test_the_bare_path(anybody: Portal, suffix: str) -> None:
    response = anybody.log_in("root", ROOT_SECRET, AUTHENTICATION + suffix)
    assert response.status_code == 200
    token, expires = response.json["response"]["token"], response.json["response"]["expires"]
    assert response.text == (
        f'{{"response":{{"token":"{token}","expires":"{expires}","sms":false,"tfa":false}},"count":1,'
        f'"links":[{{"href":"http://localhost{AUTHENTICATION}{suffix}","action":"POST"}}],"status":0,"statusCode":200}}'
    )
    assert len(token) >= 22
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", expires)
    ends = datetime.fromisoformat(expires) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < ends <= timedelta(days=30)
    assert response.content_type == "application/json; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_suffixed_path(anybody: Portal) -> None:
    response = anybody.log_in("root", ROOT_SECRET, JSON_PATH)
    assert response.status_code == 201
    login = response.json["response"]
    assert response.text == json.dumps(
        {"count": 1, "status": 0, "statusCode": 201, "response": login}, separators=(",", ":")
    )
    assert list(login) == ["token", "expires"]


@pytest.mark.parametrize(
    ("name", "password"),
    [("root", "wrong"), ("nobody", ROOT_SECRET), ("", ""), ("root", ""), ("root", f"{ROOT_SECRET} ")],
)
def test_a_wrong_login(anybody: Portal, name: str, password: str) -> None:
    for path, status, text in ((AUTHENTICATION, 401, WRONG), (JSON_PATH, 500, WRONG_JSON)):
        response = anybody.log_in(name, password, path)
        assert (response.status_code, response.text) == (status, text)
        assert "Set-Cookie" not in response.headers


BODIES = {
    "form": ({"data": {"userName": "alice", "password": ALICE_SECRET}}, 200),
    "any case": ({"json": {"USERNAME": "alice", "pAssWord": ALICE_SECRET, "passwordHash": "x", "session": True}}, 200),
    "the last of several": ({"data": f'{{"userName":"x","password":"{ALICE_SECRET}","USERNAME":"alice"}}',
                             "content_type": "text/json"}, 200),
    "no JSON": ({"data": "{", "content_type": "application/json"}, 401),
    "no object": ({"data": "[1]", "content_type": "application/json"}, 401),
    "numbers": ({"json": {"userName": 1, "password": 2}}, 401),
    "nothing": ({}, 401),
    "another type": ({"data": f'{{"userName":"alice","password":"{ALICE_SECRET}"}}',
                      "content_type": "text/plain"}, 401),
    "too many fields": ({"data": "a=1&" * 1001, "content_type": "application/x-www-form-urlencoded"}, 401),
    "not UTF-8": ({"data": b'{"userName":"\xff"}', "content_type": "application/json"}, 401),
    "too large": ({"data": b"x" * (1024 * 1024 + 1), "content_type": "application/json"}, 413),
}  # fmt: skip


@SQLITE
@pytest.mark.parametrize("case", BODIES)
def test_bodies(anybody: Portal, case: str) -> None:
    sent, status = BODIES[case]
    assert anybody.call("POST", AUTHENTICATION, **sent).status_code == status  # type: ignore[arg-type]


def test_name_and_contact_address_in_any_case(anybody: Portal, ports: Ports) -> None:
    users.add(ports, act(), name="Carol", password="Panel-3", role="user", email="Carol@Example.org")
    for name in ("Carol", "carol", "CAROL", "carol@example.ORG"):
        assert anybody.log_in(name, "Panel-3").status_code == 200


def test_an_inactive_user_looks_like_a_wrong_password(anybody: Portal, ports: Ports) -> None:
    token = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    key = tokens.add_key(ports, act(), user="alice")
    users.disable(ports, act(), name="alice")
    assert anybody.log_in("alice", ALICE_SECRET).text == WRONG
    for proof in ({"Authorization": token}, {"Authorization": key}, basic("alice", ALICE_SECRET)):
        assert anybody.call("GET", AUTHENTICATION, proof).json["response"] is False


def test_the_cookie(anybody: Portal) -> None:
    response = anybody.log_in("alice", ALICE_SECRET)
    name, *attributes = response.headers["Set-Cookie"].split("; ")
    assert name == f"asc_auth_key={response.json['response']['token']}"
    expires = next(item for item in attributes if item.startswith("Expires="))
    assert set(attributes) == {expires, "Path=/", "HttpOnly", "SameSite=Strict"}


def test_the_cookie_is_secure_on_https(anybody: Portal) -> None:
    response = anybody.call(
        "POST", AUTHENTICATION, json={"userName": "alice", "password": ALICE_SECRET}, base_url="https://portal.test"
    )
    assert "Secure" in response.headers["Set-Cookie"].split("; ")


FOREIGN = [
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost:8080"},
    {"Referer": "http://evil.test/page"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
]
OWN = [
    {},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST:80"},
    {"Referer": "http://localhost/page"},
    {"Origin": "http://localhost", "Referer": "http://evil.test/page"},
    {"Sec-Fetch-Site": "same-origin"},
]


@SQLITE
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_login_from_another_site_sets_no_cookie(anybody: Portal, headers: dict[str, str]) -> None:
    response = anybody.call("POST", AUTHENTICATION, headers, json={"userName": "alice", "password": ALICE_SECRET})
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


@SQLITE
@pytest.mark.parametrize("headers", OWN, ids=str)
def test_a_login_from_our_own_pages_sets_it(anybody: Portal, headers: dict[str, str]) -> None:
    response = anybody.call("POST", AUTHENTICATION, headers, json={"userName": "alice", "password": ALICE_SECRET})
    assert "Set-Cookie" in response.headers


def test_the_sixth_attempt_is_refused_in_every_process(anybody: Portal, other_process: FlaskClient) -> None:
    for _ in range(4):
        assert anybody.log_in("alice", "wrong").status_code == 401
    assert anybody.call("GET", AUTHENTICATION, basic("Alice", "wrong")).json["response"] is False
    for portal in (anybody, Portal(other_process)):
        response = portal.log_in("ALICE", ALICE_SECRET)
        assert (response.status_code, response.text) == (403, BLOCKED)
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        response = portal.log_in("alice", ALICE_SECRET, JSON_PATH)
        assert (response.status_code, response.text) == (500, BLOCKED_JSON)
        assert portal.call("GET", AUTHENTICATION, basic("alice", ALICE_SECRET)).json["response"] is False
    assert anybody.log_in("bob", "wrong").status_code == 401


def test_the_block_ends(anybody: Portal, ports: Ports) -> None:
    for _ in range(5):
        anybody.log_in("alice", "wrong")
    assert anybody.log_in("alice", ALICE_SECRET).status_code == 403
    pass_time(ports, 61)
    assert anybody.log_in("alice", ALICE_SECRET).status_code == 200


@pytest.mark.parametrize("path", [AUTHENTICATION, JSON_PATH])
def test_whether_the_caller_is_known(anybody: Portal, root_key: str, path: str) -> None:
    token = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    for proof, known in (
        ({"Authorization": token}, True),
        ({"Authorization": f"Bearer {token}"}, True),
        ({"Authorization": f"bearer {token}"}, True),
        (cookie(token), True),
        (cookie(root_key.lower()), True),
        (basic("ALICE", ALICE_SECRET), True),
        (basic("alice", "wrong"), False),
        ({"Authorization": "Basic !"}, False),
        ({"Authorization": unknown_token()} | cookie(token), False),
        ({"Authorization": ""} | cookie(token), False),
        (cookie(unknown_token()), False),
        ({}, False),
    ):
        response = anybody.call("GET", path, proof)
        assert (response.status_code, response.json["response"]) == (200, known), proof
    assert anybody.get(f"{path}?asc_auth_key={token}").json["response"] is False


def test_what_that_looks_like(anybody: Portal) -> None:
    assert anybody.get(AUTHENTICATION).text == (
        f'{{"response":false,"count":1,"links":[{{"href":"http://localhost{AUTHENTICATION}","action":"GET"}}],'
        '"status":0,"statusCode":200}'
    )
    assert anybody.get(JSON_PATH).text == '{"count":1,"status":0,"statusCode":200,"response":false}'


@pytest.mark.parametrize("proof", ["cookie", "Authorization"])
def test_logout_ends_the_login_everywhere(anybody: Portal, other_process: FlaskClient, proof: str) -> None:
    token = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    other = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    response = anybody.call("POST", LOGOUT, cookie(token) if proof == "cookie" else {"Authorization": token})
    assert response.text == (
        f'{{"count":0,"links":[{{"href":"http://localhost{LOGOUT}","action":"POST"}}],"status":0,"statusCode":200}}'
    )
    assert response.headers["Set-Cookie"].startswith("asc_auth_key=; Expires=Thu, 01 Jan 1970")
    for portal in (anybody, Portal(other_process)):
        assert portal.call("GET", AUTHENTICATION, {"Authorization": token}).json["response"] is False
        assert portal.call("GET", AUTHENTICATION, {"Authorization": other}).json["response"] is True


def test_logout_of_nobody_and_of_a_key(anybody: Portal, root_key: str) -> None:
    assert anybody.call("POST", LOGOUT).status_code == 200
    response = anybody.call("POST", f"{LOGOUT}.json", {"Authorization": root_key})
    assert (response.status_code, response.text) == (201, '{"status":0,"statusCode":201,"response":{}}')
    assert anybody.call("GET", AUTHENTICATION, {"Authorization": root_key}).json["response"] is True


@SQLITE
@pytest.mark.parametrize("headers", [*FOREIGN, {"Content-Type": "text/plain"}], ids=str)
def test_another_site_logs_nobody_out(anybody: Portal, headers: dict[str, str]) -> None:
    token = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    body = b"x" if "Content-Type" in headers else b""
    response = anybody.call("POST", LOGOUT, headers | cookie(token), data=body)
    assert (response.status_code, response.json["error"]["message"]) == (403, "Access denied")
    suffixed = anybody.call("POST", f"{LOGOUT}.json", headers | cookie(token), data=body)
    assert suffixed.json == {
        "status": 1,
        "statusCode": 403,
        "error": {"message": "Access denied", "hresult": -2146233078, "data": {}},
    }
    assert anybody.call("GET", AUTHENTICATION, {"Authorization": token}).json["response"] is True


def test_other_methods(anybody: Portal) -> None:
    for method in ("PUT", "HEAD", "OPTIONS", "DELETE", "PROPFIND"):
        response = anybody.call(method, AUTHENTICATION)
        assert (response.status_code, response.data) == (405, b"")
        assert response.headers["Allow"] == "GET, POST"
    assert anybody.get(LOGOUT).headers["Allow"] == "POST"


def test_no_token_is_stored(anybody: Portal, ports: Ports) -> None:
    token = anybody.log_in("alice", ALICE_SECRET).json["response"]["token"]
    kept = found(ports, "SELECT * FROM login_session")
    assert kept and token not in str(kept)
    assert tokens.digest_of(token) in str(kept)
