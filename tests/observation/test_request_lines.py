"""One structured line for every request, and never a secret in any of them."""

import base64
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

import config
from mailsvc.observation.logs import TextLines
from mailsvc.observation.requests import REASON_SHOWN
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET
from tests.observation.recording import Recording, recorded
from tests.protocols.brainycp.panel import Panel, form

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

CANARY = "Canary-4f1d"

FACTS = [
    "request_id",
    "dialect",
    "operation",
    "caller",
    "outcome",
    "code",
    "status",
    "method",
    "address",
    "milliseconds",
]

OF_ALICE = {"login": "alice", "pass": ALICE_SECRET, "module": "mailclient"}


@pytest.fixture
def log() -> Iterator[Recording]:
    """What is logged during the test."""
    with recorded() as recording:
        yield recording


def seen(line: dict[str, Any]) -> tuple[Any, ...]:
    """What was asked and what came of it."""
    return tuple(line[name] for name in ("dialect", "operation", "caller", "outcome", "code", "status", "method"))


@pytest.mark.parametrize(
    ("method", "path", "fields", "expected"),
    [
        ("POST", "/api/api.php",
         OF_ALICE | {"subdo": "addmail", "email": "a@example.com", "password": "x", "quota": "0"},
         ("brainycp", "addmail", "alice", "done", 0, 200, "POST")),
        ("POST", "/mailclient/addmail", OF_ALICE | {"email": "old@example.com", "password": "x", "quota": "0"},
         ("brainycp", "addmail", "alice", "AlreadyExists", 1, 200, "POST")),
        ("POST", "/mailclient/addmail", OF_ALICE | {"email": "nonsense"},
         ("brainycp", "addmail", "alice", "BadInput", 2, 200, "POST")),
        ("POST", "/mailclient/onspf", OF_ALICE | {"domain": "bob.test"},
         ("brainycp", "onspf", "alice", "UnknownDomain", 2, 200, "POST")),
        ("POST", "/mailclient/delmail", OF_ALICE | {"panel_user": "bob"},
         ("brainycp", "delmail", "alice", "NotYours", 1000, 200, "POST")),
        ("POST", "/mailclient/getlistmail", OF_ALICE, ("brainycp", "getlistmail", "alice", "done", 0, 200, "POST")),
        ("POST", "/mailclient/getforwardmail", OF_ALICE,
         ("brainycp", "getforwardmail", "alice", "NothingStored", 1, 200, "POST")),
        ("POST", "/api/api.php", OF_ALICE, ("brainycp", "probe", "alice", "done", 200, 200, "POST")),
        ("POST", "/api/api.php", OF_ALICE | {"pass": "wrong"},
         ("brainycp", "probe", "-", "NotSignedIn", 1000, 200, "POST")),
        ("PUT", "/api/api.php", {}, ("brainycp", "-", "-", "MethodNotAllowed", 2, 405, "PUT")),
        ("POST", "/api/api.php", {"a": "x" * 1_100_000},
         ("brainycp", "-", "-", "RequestEntityTooLarge", 2, 413, "POST")),
        ("GET", "/healthz", {}, ("-", "healthz", "-", "done", 200, 200, "GET")),
        ("GET", "/readyz", {}, ("-", "readyz", "-", "done", 200, 200, "GET")),
        ("GET", "/metrics", {}, ("-", "metrics", "-", "done", 401, 401, "GET")),
        ("GET", "/absent", {}, ("-", "-", "-", "NotFound", 404, 404, "GET")),
    ],
)  # fmt: skip
def test_a_request_is_one_line(
    client: FlaskClient, log: Recording, method: str, path: str, fields: dict[str, str], expected: tuple[Any, ...]
) -> None:
    response = client.open(path, method=method, data=fields)
    (line,) = log.requests()
    assert seen(line) == expected
    assert [name for name in line if name in FACTS] == FACTS
    assert line.keys() - set(FACTS) <= {"at", "level", "logger", "message", "reason"}
    assert (line["level"], line["message"], line["address"]) == ("info", "request", "127.0.0.1")
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert line["milliseconds"] >= 0
    assert abs(datetime.now(UTC) - datetime.fromisoformat(line["at"])) < timedelta(minutes=5)


@pytest.mark.parametrize("operation", ["onspf", "offspf", "ondkim", "offdkim"])
def test_switches_name_their_outcome_too(client: FlaskClient, log: Recording, operation: str) -> None:
    code = Panel(client).post(operation, domain="example.com")["error"]
    outcome = {0: "done", 3: "AlreadyInThatState"}[code]
    assert [seen(line)[1:5] for line in log.requests()] == [(operation, "alice", outcome, code)]


def test_every_request_has_a_name_of_its_own(client: FlaskClient, log: Recording) -> None:
    names = {client.get("/healthz").headers["X-Request-ID"] for _ in range(50)}
    assert len(names) == 50
    assert {line["request_id"] for line in log.requests()} == names


def test_a_caller_cannot_name_his_request(client: FlaskClient, log: Recording) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "chosen-by-caller"})
    assert response.headers["X-Request-ID"] == log.requests()[0]["request_id"] != "chosen-by-caller"


@pytest.mark.parametrize("more_settings", [{"TRUSTED_PROXIES": "1"}])
@pytest.mark.parametrize("given", ["short", "x" * 65, "with blank", 'quote"d-name', "номер-запроса", "semi;colon"])
def test_a_trusted_proxy_names_it_in_plain_letters_only(client: FlaskClient, log: Recording, given: str) -> None:
    taken = client.get("/healthz", headers={"X-Request-ID": "0123-abc_DEF.9"}).headers["X-Request-ID"]
    refused = client.get("/healthz", environ_overrides={"HTTP_X_REQUEST_ID": given}).headers["X-Request-ID"]
    assert (taken, len(refused)) == ("0123-abc_DEF.9", 16)
    assert [line["request_id"] for line in log.requests()] == [taken, refused]


def test_the_line_the_reply_and_the_audit_entry_have_the_same_name(
    client: FlaskClient, log: Recording, ports: Ports
) -> None:
    for address in ("new@example.com", "new@example.com"):
        Panel(client).post("addmail", email=address, password="Box-1", quota="0")
    with ports.store.reading() as unit:
        audited = unit.execute(sa.text("SELECT request_id, outcome FROM audit_entry ORDER BY id DESC LIMIT 2")).all()
    lines = [(line["request_id"], line["outcome"]) for line in log.requests()]
    assert [tuple(row) for row in reversed(audited)] == lines
    assert [outcome for _, outcome in lines] == ["done", "AlreadyExists"]


def test_the_reason_of_a_refusal_is_there_shortened_and_on_one_line(client: FlaskClient, log: Recording) -> None:
    Panel(client).post("delmail", email="absent@example.com")
    Panel(client).post("delmail", panel_user="x\n\x1b[31m" + "y" * 1000)
    first, second = log.requests()
    assert first["reason"] == "address=absent@example.com"
    assert second["reason"].startswith("user=x[31myy") and len(second["reason"]) == REASON_SHOWN


def canaries(client: FlaskClient) -> None:
    """Put a secret wherever a secret can be put, with good credentials and with bad ones."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"alice:{CANARY}".encode()).decode()}
    panel = Panel(client)
    panel.post("addmail", email="new@example.com", password=CANARY, quota="0")
    panel.post("addmail", email=f"{CANARY} new", password=CANARY, quota="0")
    panel.post("addmail", email="x@nowhere.test", password=CANARY, quota=CANARY)
    panel.send([("subdo", CANARY), ("pass", ALICE_SECRET)])
    panel.send([("subdo", "getlistmail"), ("language", CANARY), ("module", CANARY), (CANARY, CANARY)])
    client.post("/api/api.php", data=f"login=alice&pass={CANARY}", content_type=f"text/plain; charset={CANARY}")
    for name in ("alice", CANARY, "nobody"):
        form(client, [("login", name), ("pass", CANARY), ("subdo", "getlistmail")])
        client.get("/api/api.php", query_string={"login": name, "pass": CANARY})
        client.get(f"/mailclient/getlistmail?{urlencode({'username': name, 'password': CANARY})}")
    for path in ("/api/api.php", "/mailclient/delmail", f"/mailclient/{CANARY}", "/metrics", "/healthz", f"/{CANARY}"):
        client.get(path, query_string={"password": CANARY}, headers=basic)
        client.put(path, query_string={"password": CANARY}, data=CANARY, headers=basic | {"Cookie": CANARY})
    client.post("/api/api.php", data=f"pass={CANARY}&" + "x" * 1_100_000, headers={"Referer": f"http://x/?{CANARY}"})
    multipart = f'--{CANARY}\r\nContent-Disposition: form-data; name="pass"; filename="{CANARY}"\r\n\r\n{CANARY}'
    client.post("/api/api.php", data=multipart, content_type=f"multipart/form-data; boundary={CANARY}")


def test_no_line_holds_a_secret_a_query_string_or_a_body(client: FlaskClient, log: Recording) -> None:
    canaries(client)
    assert len(log.requests()) > 20
    for secret in (CANARY, ALICE_SECRET, base64.b64encode(f"alice:{CANARY}".encode()).decode(), "argon2", "password"):
        assert secret not in log.text


def test_not_even_a_failure_of_our_own_shows_one(
    client: FlaskClient, log: Recording, settings: config.Settings
) -> None:
    Panel(client).post("getlistmail")
    assert settings.database_file
    with closing(sqlite3.connect(settings.database_file)) as connection:
        connection.execute("ALTER TABLE mailbox RENAME TO mailbox_elsewhere")
        connection.execute("ALTER TABLE login_failure RENAME TO login_failure_elsewhere")
        connection.commit()
    broken = Panel(client).post("addmail", email="new@example.com", password=CANARY, quota="0")
    form(client, [("login", "alice"), ("pass", CANARY), ("subdo", "getlistmail")])
    assert broken["error"] == 3
    assert [line["outcome"] for line in log.requests()][1:] == ["Broken", "Broken"]
    assert len([line for line in log.parsed() if "no such table" in line.get("traceback", "")]) == 2
    for secret in (CANARY, ALICE_SECRET, "argon2"):
        assert secret not in log.text


def test_text_lines_are_for_reading(client: FlaskClient) -> None:
    with recorded(TextLines()) as log:
        Panel(client).post("delmail", email="absent@example.com")
        canaries(client)
    first, *others = log.lines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 info    mailsvc\.request: request request_id=[0-9a-f]{16}"
        r" dialect=brainycp operation=delmail caller=alice outcome=NoSuchMailbox code=1 status=200 method=POST"
        r' address=127\.0\.0\.1 milliseconds=\d+\.\d reason="address=absent@example\.com"',
        first,
    )
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ (info|warning) +mailsvc\.[a-z_]+: ", line) for line in others)
    assert CANARY not in log.text and ALICE_SECRET not in log.text
