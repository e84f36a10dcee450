"""Logins, tokens and credentials (acceptance lines 2 to 5)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from mailsvc.protocols.webitel import signed
from mailsvc.services import installation, users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, ROOT_SECRET, act
from tests.protocols.webitel.conftest import CAROL_SECRET
from tests.protocols.webitel.web_client import (
    ON_SQLITE,
    SETTINGS,
    SMTP,
    WebClient,
    answer,
    error,
    headers_of,
    login,
    signed_in,
)

GOLDEN_KEY = b"golden-secret-for-tests-only-0001"
GOLDEN_TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE0NDIwMDIxNzkzNTh9.B9Fq_GyqIOfYg4QV-GNJvN8IoX1uiDlbYQnuPguLOuU"
)
SEVEN_DAYS = 604_800_000
SECONDS = 120_000
"""How far apart the clocks of two reads may be, in milliseconds: a loaded machine may take its time."""

INVALID_TOKEN = (401, error("Invalid token"))
INVALID_USER = (401, error("Invalid User"))
EXPIRED = (401, error("Token Expired"))
INCOMPLETE = (401, {"status": 401, "message": "Invalid credentials"})
INCORRECT = (401, error("secret incorrect"))


def part(value: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def signature(head: str, key: bytes, digest: str = "sha256") -> str:
    return part(hmac.new(key, head.encode(), digest).digest())


def made(ports: Ports, header: bytes, payload: bytes, digest: str = "sha256") -> str:
    """A token of any content, signed by the installation's key."""
    head = f"{part(header)}.{part(payload)}"
    return f"{head}.{signature(head, installation.made_secret(ports, signed.SIGNING_KEY), digest)}"


def use_golden_key(ports: Ports) -> None:
    """Sign with the contract's example key from now on."""
    sealed = ports.seals.seal(f"installation:{signed.SIGNING_KEY}", GOLDEN_KEY)
    with ports.store.writing() as unit:
        unit.execute(text("DELETE FROM installation_secret"))
        row = {"name": signed.SIGNING_KEY, "content": sealed}
        unit.execute(text("INSERT INTO installation_secret (name, content) VALUES (:name, :content)"), row)


# The token


def test_the_bytes_of_a_token(client: FlaskClient) -> None:
    reply = login(client)
    header, payload, _ = reply["token"].split(".")
    assert header == part(b'{"typ":"JWT","alg":"HS256"}')
    assert payload == part(b'{"exp":%d}' % reply["expires"])
    assert abs(reply["expires"] - time.time() * 1000 - SEVEN_DAYS) < SECONDS


def test_the_golden_token(client: FlaskClient, ports: Ports) -> None:
    use_golden_key(ports)
    assert signed.issue(ports, 1442002179358) == GOLDEN_TOKEN
    assert signed.end_of(ports, GOLDEN_TOKEN) == 1442002179358
    assert WebClient(client, {"X-Access-Token": GOLDEN_TOKEN}).call("GET") == EXPIRED


@ON_SQLITE
def test_what_is_not_our_token_is_invalid(client: FlaskClient, ports: Ports) -> None:
    key = login(client)["key"]
    end = int(time.time() * 1000) + SEVEN_DAYS
    payload, header = b'{"exp":%d}' % end, b'{"typ":"JWT","alg":"HS256"}'
    good = made(ports, header, payload)
    foreign = f"{part(header)}.{part(payload)}"
    unsigned = b'{"typ":"JWT","alg":"none"}'
    none = f"{part(unsigned)}.{part(payload)}"
    wrong = [
        "", "x", "a.b", "a.b.c", "\u00e9.\u00e9.\u00e9", "." * 5000, good[:-1], good[1:], good + "A", good + ".x",
        f"{foreign}.{signature(foreign, b'another key')}",
        f"{foreign}.{signature(foreign, hashlib.sha256(b'').digest())}",
        f"{none}.", f"{none}.{good.rpartition('.')[2]}",
        made(ports, b'{"typ":"JWT","alg":"HS512"}', payload, "sha512"),
        made(ports, b'{"typ":"JWT","alg":"HS512"}', payload),
        made(ports, unsigned, payload),
        made(ports, b"{", payload), made(ports, b"[]", payload),
        *(made(ports, header, claims) for claims in (
            b"", b"{}", b"[]", b'"x"', b"5", b'{"exp":"1"}', b'{"exp":true}', b'{"exp":null}', b'{"exp":1.5e12}',
        )),
    ]  # fmt: skip
    for token in wrong:
        sent = {"X-Key": key, "X-Access-Token": token.encode().decode("latin-1")}
        assert WebClient(client, sent).call("GET") == INVALID_TOKEN, token
    assert WebClient(client, {"X-Key": key, "X-Access-Token": good}).call("GET") == INVALID_USER
    assert jwt.decode(good, installation.made_secret(ports, signed.SIGNING_KEY), ["HS256"])


@ON_SQLITE
@pytest.mark.parametrize("left", [0, -1, -1_000_000])
def test_a_token_ends_in_milliseconds(client: FlaskClient, ports: Ports, left: int) -> None:
    payload = b'{"exp":%d}' % (int(time.time() * 1000) + left)
    token = made(ports, b'{"typ":"JWT","alg":"HS256"}', payload)
    assert WebClient(client, {"X-Access-Token": token}).call("GET") == EXPIRED


def test_logins_live_side_by_side_and_survive_a_new_process(client: FlaskClient, ports: Ports) -> None:
    first, second = login(client), login(client)
    assert first["key"] != second["key"]
    for one in (first, second):
        assert WebClient(client, headers_of(one)).call("GET", "/api/v2/whoami")[0] == 200
    # What another process has never seen it verifies itself.
    ports.remembered.__init__()  # type: ignore[misc]
    assert WebClient(client, headers_of(first)).call("GET", "/api/v2/whoami")[0] == 200


# The pair


def test_a_pair_has_to_match(client: FlaskClient) -> None:
    alice, carol = login(client), login(client, "carol", CAROL_SECRET)
    token = {"X-Access-Token": alice["token"]}
    assert WebClient(client, token).call("GET") == (401, error("Invalid Token or Key"))
    if alice["token"] != carol["token"]:
        assert WebClient(client, {**token, "X-Key": carol["key"]}).call("GET") == INVALID_USER
    for key in ("8fd26a17-eb28-4c74-aa6f-a3794f4f466c", alice["key"].upper(), alice["key"][:-1], "x" * 5000):
        assert WebClient(client, {**token, "X-Key": key}).call("GET") == INVALID_USER
    nul = f"{SETTINGS}?x_key=%00{alice['key'][1:]}"
    assert WebClient(client, token).call("GET", nul) == INVALID_USER


@pytest.mark.parametrize("how", ["passwd", "disable", "remove", "logout"])
def test_a_login_dies(client: FlaskClient, ports: Ports, how: str) -> None:
    users.add(ports, act(), name="dora", password="Panel-4", role="user")
    reply = login(client, "dora", "Panel-4")
    dora = WebClient(client, headers_of(reply))
    assert dora.call("GET", "/api/v2/whoami")[0] == 200
    if how == "passwd":
        users.change_password(ports, act(), name="dora", password="Panel-5")
    elif how == "disable":
        users.disable(ports, act(), name="dora")
    elif how == "remove":
        users.remove(ports, act(), name="dora")
    else:
        assert dora.call("POST", "/logout") == (200, {"status": "OK", "info": "Successful logout."})
    assert dora.call("GET", "/api/v2/whoami") == INVALID_USER


# Login


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'[{"username":"alice"}]', {"password": "Panel-1"}, {"username": ""}, {"username": None},
     {"username": 5, "password": "Panel-1"}, {"username": ["alice"]}],
)  # fmt: skip
def test_a_login_without_a_name(client: FlaskClient, body: Any) -> None:
    assert WebClient(client, {}).call("POST", "/login", body) == INCOMPLETE


@ON_SQLITE
def test_a_login_in_another_form(client: FlaskClient) -> None:
    form = client.post("/login", data={"username": "alice", "password": ALICE_SECRET})
    assert answer(form) == INCOMPLETE
    basic = WebClient(client, {"Authorization": "Basic " + base64.b64encode(b"alice:Panel-1").decode()})
    assert basic.call("POST", "/login") == INCOMPLETE


def test_whoever_cannot_log_in_is_told_the_same(client: FlaskClient, ports: Ports) -> None:
    users.disable(ports, act(), name="carol")
    tries: list[Any] = [
        {"username": "alice", "password": "wrong"},
        {"username": "alice"},
        {"username": "alice", "password": 5},
        {"username": "ALICE", "password": ALICE_SECRET},
        {"username": "nobody", "password": "wrong"},
        {"username": "a\u0000b", "password": "wrong"},
        {"username": "carol", "password": CAROL_SECRET},
    ]
    for body in tries:
        assert WebClient(client, {}).call("POST", "/login", body) == INCORRECT, body


def test_the_throttle_of_all_dialects_holds_here(client: FlaskClient) -> None:
    nobody = WebClient(client, {})
    for _ in range(5):
        assert nobody.call("POST", "/login", {"username": "alice", "password": "wrong"}) == INCORRECT
    assert nobody.call("POST", "/login", {"username": "alice", "password": ALICE_SECRET}) == INCORRECT
    assert signed_in(client, "root", ROOT_SECRET).call("GET", "/api/v2/whoami")[0] == 200
    form = {"login": "alice", "pass": ALICE_SECRET, "module": "mailclient", "subdo": "getlistmail"}
    assert client.post("/api/api.php", data=form).get_json()["error"] == 1000


def test_who_is_who(client: FlaskClient) -> None:
    root, carol, alice = (
        login(client, "root", ROOT_SECRET), login(client, "carol", CAROL_SECRET), login(client),
    )  # fmt: skip
    assert (root["role"], root["roleName"], "domain" in root) == (2, "root", False)
    assert (carol["role"], carol["roleName"], "domain" in carol) == (1, "admin", False)
    status, said = WebClient(client, headers_of(alice)).call("GET", "/api/v2/whoami")
    expected = {
        "acl": {"email": ["*"]}, "id": "alice", "domain": "d1.example", "roleName": "admin",
        "expires": alice["expires"], "cdr": {"host": "", "useProxy": True}, "verto": "",
    }  # fmt: skip
    assert (status, json.dumps(said)) == (200, json.dumps(expected))
    _, said = WebClient(client, headers_of(root)).call("GET", "/api/v2/whoami")
    assert list(said) == ["acl", "id", "roleName", "expires", "cdr", "verto"]


# Logout


def test_logout(client: FlaskClient) -> None:
    one, other = login(client), login(client, "carol", CAROL_SECRET)
    headers = headers_of(one)
    for name in headers:
        assert WebClient(client, {name: headers[name]}).call("POST", "/logout") == INCOMPLETE
    assert WebClient(client, {}).call("POST", "/logout") == INCOMPLETE
    refused = (401, error("Invalid credentials."))
    crossed = {**headers, "X-Key": other["key"]}
    if one["token"] != other["token"]:
        assert WebClient(client, crossed).call("POST", "/logout") == refused
    assert WebClient(client, {**headers, "X-Access-Token": "x"}).call("POST", "/logout") == refused
    body = {"x_key": one["key"], "access_token": one["token"]}
    assert WebClient(client, {}).call("POST", "/logout", body) == (200, {"status": "OK", "info": "Successful logout."})
    assert WebClient(client, headers).call("POST", "/logout") == refused


# Where credentials may stand


def test_credentials_from_body_query_and_header(client: FlaskClient) -> None:
    reply = login(client)
    key, token = reply["key"], reply["token"]
    nobody = WebClient(client, {})
    query = f"{SETTINGS}?x_key={key}&access_token={token}"
    own = {"x_key": key, "access_token": token}
    assert nobody.call("POST", SETTINGS, {**SMTP, **own})[0] == 200
    assert nobody.call("GET", query)[0] == 200
    assert nobody.call("GET", SETTINGS, own)[0] == 200
    # In this order, and what is empty is skipped.
    assert nobody.call("GET", query, {"x_key": "", "access_token": None})[0] == 200
    assert nobody.call("GET", query, {"access_token": "x"}) == INVALID_TOKEN
    assert nobody.call("GET", query, {"access_token": 5}) == INVALID_TOKEN
    headers = WebClient(client, headers_of(reply))
    assert headers.call("GET", f"{SETTINGS}?access_token=x") == INVALID_TOKEN
    assert headers.call("GET", f"{SETTINGS}?access_token=")[0] == 200
    assert headers.call("GET", f"{SETTINGS}?access_token[]=x")[0] == 200
    for other in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"access_token={token}; x_key={key}"}):
        assert WebClient(client, {**other, "X-Key": key}).call("GET") == INVALID_TOKEN


def test_credentials_in_the_body_are_not_kept(client: FlaskClient) -> None:
    reply = login(client)
    own = {"x_key": reply["key"], "access_token": reply["token"]}
    _, stored = WebClient(client, {}).call("POST", SETTINGS, {**own, **SMTP, "deep": {"x_key": "kept"}})
    assert list(stored) == ["_id", "provider", "options", "deep", "domain"]
    assert stored["deep"] == {"x_key": "kept"}
    assert WebClient(client, headers_of(reply)).call("GET") == (200, stored)
