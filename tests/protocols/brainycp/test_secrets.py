"""No password ever shows: not in a log, a reply, the database, the audit trail or the metrics."""

import logging
import shutil
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.app import create_app
from mailsvc.observation.logs import JsonLines, TextLines
from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import act, settings_for
from tests.protocols.brainycp.panel import LISTS, URLENCODED, WRITING, Pair, basic, form, multipart
from tests.protocols.brainycp.stored import Row, change, rows
from tests.protocols.canaries import everything_logged

OF_ALICE, OF_ROOT = "Canary-Panel-Alice", "Canary-Panel-Root"
MARK = b"anary-"
"""What every secret of these tests has in it, whatever happens to its first letter."""


@dataclass(frozen=True, slots=True)
class Run:
    """What remains of a run of all operations with passwords in every place in which one can be sent."""

    replies: list[TestResponse]
    records: list[logging.LogRecord]
    files: dict[str, bytes]
    trail: list[Row]
    blocks: list[Row]
    metrics: TestResponse


@pytest.fixture(scope="module")
def run(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests."""
    directory = tmp_path_factory.mktemp("secrets") / "data"
    shutil.copytree(sqlite_template, directory)
    app = create_app(settings_for(directory))
    ports: Ports = app.extensions["mailsvc"]
    client = app.test_client()
    with everything_logged() as records:
        for name, secret in (("alice", OF_ALICE), ("root", OF_ROOT)):
            users.change_password(ports, act(), name=name, password=secret)
        replies = [
            *(response for operation in (*WRITING, *LISTS) for response in every_way(client, operation)),
            *mistyped(client),
            *refused_early(client),
            *broken(client, ports),
        ]
        exposed = client.get("/metrics", headers=basic("root", OF_ROOT))
    trail, blocks = (rows(ports, f"SELECT * FROM {table}") for table in ("audit_entry", "login_block"))
    files = {file.name: file.read_bytes() for file in directory.rglob("*") if file.is_file()}
    ports.store.close()
    return Run(replies, records, files, trail, blocks, exposed)


def own_fields(operation: str) -> list[Pair]:
    forward = [("source", "sales@example.com"), ("target", "a@b.example"), ("save_local", "1")]
    return [("email", f"{operation}@example.com"), ("quota", "1"), ("domain", "example.com"), *forward]


def every_way(client: FlaskClient, operation: str) -> list[TestResponse]:
    """The operation with good credentials, sent in each of the ways there are."""
    own, path = [*own_fields(operation), ("language", "en")], f"/mailclient/{operation}"
    box = ("password", "Canary-Box-1")
    vendor = [("login", "alice"), ("pass", OF_ALICE), *own, box]
    page = [("username", "alice"), ("password", OF_ALICE), *own, box]
    query = urlencode(vendor)
    return [
        form(client, page, path),
        form(client, vendor, path),
        client.post(path, **multipart(page)),
        form(client, [*own, box], path, headers=basic("alice", OF_ALICE)),
        form(client, own, f"{path}?{query}"),
        client.get(f"{path}?{query}"),
        client.head(f"{path}?{query}"),
        client.put(f"{path}?{query}", data=query, content_type=URLENCODED),
        form(client, [*vendor, ("panel_user", "bob")], path),
        form(client, [("login", "root"), ("pass", OF_ROOT), *own, box, ("panel_user", "nobody")], path),
        form(client, [*vendor, ("password", "Canary-\0-Box"), ("quota", "-1"), ("domain", "")], path),
        form(client, [*vendor, ("subdo", "x")], path),
    ]


def mistyped(client: FlaskClient) -> list[TestResponse]:
    """Wrong passwords, and passwords in the place of the name, until both are blocked."""
    sent: list[list[Pair]] = [
        [("login", "alice"), ("pass", "Canary-Wrong-1")],
        [("username", "alice"), ("password", "Canary-Wrong-2"), ("password", "Canary-Box-2")],
        [("login", "Canary-Name-1"), ("pass", "alice")],
        [("username", "Canary-Name-2\0"), ("password", "Canary-Name-2")],
    ]
    headers = (basic("alice", "Canary-Wrong-3"), basic("Canary-Name-3", "x"), basic("Canary-Name-4", ""))
    elsewhere = {"REMOTE_ADDR": "192.0.2.99"}
    return [
        response
        for _ in range(6)
        for response in (
            *(form(client, fields, "/mailclient/addmail", environ_overrides=elsewhere) for fields in sent),
            *(client.post("/api/api.php", headers=one, environ_overrides=elsewhere) for one in headers),
        )
    ]


def refused_early(client: FlaskClient) -> list[TestResponse]:
    """What no operation gets to see."""
    fields = [("login", "alice"), ("pass", OF_ALICE), ("password", "Canary-Box-3")]
    query = urlencode(fields)
    broken_type = "multipart/form-data; boundary=Canary-Box-4"
    return [
        client.post(f"/mailclient/addmail?{query}", data=query + "&x=" + "x" * 1024 * 1024, content_type=URLENCODED),
        client.post(f"/mailclient/addmail?{query}", data=query, content_type="application/json"),
        client.post("/mailclient/addmail", data=multipart(fields)["data"], content_type=broken_type),
        client.post("/mailclient/addmail", data=multipart(fields)["data"][:-20], content_type="multipart/form-data"),
        client.get(f"/api/api.php/addmail?{query}"),
        client.get(f"/mailclient//?{query}"),
        client.open(f"/mailclient/addmail?{query}", method="DELETE", headers=basic("alice", OF_ALICE)),
        client.post("/mailclient/addmail", headers={"Authorization": "Basic Canary-Box-5"}),
        client.post("/mailclient/addmail", headers={"Authorization": "Bearer Canary-Box-6"}),
        client.post("/mailclient/addmail", headers=basic("alice", OF_ALICE) | {"Origin": "http://evil.test"}),
    ]


def broken(client: FlaskClient, ports: Ports) -> list[TestResponse]:
    """Failures of our own, whose tracebacks are logged."""
    fields = [("login", "alice"), ("pass", OF_ALICE), *own_fields("x"), ("password", "Canary-Box-7")]
    answers = []
    for table in ("audit_entry", "dkim_key", "panel_user"):
        change(ports, f"ALTER TABLE {table} RENAME TO lost")
        for operation in (*WRITING[:4], "ondkim", *LISTS):
            answers.append(form(client, fields, f"/mailclient/{operation}"))
            answers.append(form(client, fields[2:], f"/mailclient/{operation}", headers=basic("alice", OF_ALICE)))
        change(ports, f"ALTER TABLE lost RENAME TO {table}")
    return answers


def shows(text: bytes) -> bool:
    """Whether a secret is in it, also as Basic credentials carry one."""
    encoded = [b64encode(f"{name}:{secret}".encode()) for name, secret in (("alice", OF_ALICE), ("root", OF_ROOT))]
    return MARK in text or any(one.rstrip(b"=") in text for one in encoded)


def test_the_run_does_what_it_is_meant_to(run: Run) -> None:
    """Else there would be nothing to find."""
    codes = {response.get_json()["error"] for response in run.replies if response.is_json and response.data}
    assert codes >= {0, 1, 2, 3, 1000, 1001, 1002}
    assert {response.status_code for response in run.replies} >= {200, 404, 405, 413, 500}
    assert len(run.blocks) == 5
    assert {row[4] for row in run.trail} >= set(WRITING)


def test_no_log_line_shows_a_password(run: Run) -> None:
    """Checklist 20."""
    names = {record.name for record in run.records}
    assert {"sqlalchemy.engine.Engine", "mailsvc.request", "mailsvc.sign_in", "mailsvc.brainycp"} <= names
    for formatter in (JsonLines(), TextLines(), logging.Formatter()):
        for record in run.records:
            line = formatter.format(record) + repr(vars(record))
            assert not shows(line.encode("utf-8", "surrogatepass")), record.getMessage()


def test_no_file_of_the_data_directory_shows_a_password(run: Run) -> None:
    """Checklist 20: database, write-ahead log and all."""
    assert b"addmail@example.com" in run.files["mailsvc.sqlite3"] + run.files["mailsvc.sqlite3-wal"]
    assert [name for name, content in run.files.items() if shows(content)] == []


def test_no_reply_shows_a_password(run: Run) -> None:
    """Checklist 20 and 21."""
    for response in run.replies:
        assert not shows(response.data + repr(response.headers).encode()), response.text
        assert "WWW-Authenticate" not in response.headers


def test_no_audit_row_shows_a_password(run: Run) -> None:
    """Checklist 20."""
    assert not shows(repr(run.trail).encode())


def test_no_metric_shows_a_password(run: Run) -> None:
    """Checklist 20."""
    assert run.metrics.status_code == 200
    assert b'operation="addmail"' in run.metrics.data
    assert not shows(run.metrics.data)
