"""No secret of this wire shows: not in a log, an error, the database, the audit trail or the metrics. The one exception
is the document, which its own callers get as they sent it.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.app import create_app
from mailsvc.observation.logs import JsonLines, TextLines
from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import ROOT_SECRET, act, settings_for
from tests.protocols.brainycp.panel import basic
from tests.protocols.canaries import everything_logged
from tests.protocols.webitel.conftest import furnish
from tests.protocols.webitel.smtp_servers import base64_of, scripted
from tests.protocols.webitel.test_documents import rows
from tests.protocols.webitel.web_client import SETTINGS, TEST, WebClient, headers_of, login

OF_ALICE = "Canary-Panel-Alice"
OF_RELAY = "Canary-Relay-Pass"
ANYWHERE = "Canary-Anywhere"
MARK = "anary-"

DOCUMENT: dict[str, Any] = {
    "provider": "smtp", "from": "n@d1.example", "note": ANYWHERE,
    "options": {"host": "127.0.0.1", "auth": {"user": "u", "pass": OF_RELAY}, "debug": True},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What remains of a run of every call. ``credentials`` are its tokens and keys; ``refused`` what was no success."""

    credentials: list[str]
    refused: list[TestResponse]
    lines: list[str]
    files: dict[str, bytes]
    trail: str
    metrics: str


@pytest.fixture(scope="module")
def run(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run for all tests."""
    directory = tmp_path_factory.mktemp("secrets") / "data"
    shutil.copytree(sqlite_template, directory)
    app = create_app(settings_for(directory))
    ports: Ports = app.extensions["mailsvc"]
    furnish(ports)
    users.change_password(ports, act(), name="alice", password=OF_ALICE)
    client = app.test_client()
    with everything_logged() as records, scripted({"AUTH": f"535 no {OF_RELAY} {base64_of(OF_RELAY)}"}) as server:
        first, second = login(client, "alice", OF_ALICE), login(client, "alice", OF_ALICE)
        replies = every_call(client, first, server.port)
        replies += every_call(client, second, server.port)
        exposed = client.get("/metrics", headers=basic("root", ROOT_SECRET)).text
    trail = repr(rows(ports, "SELECT * FROM audit_entry"))
    ports.store.close()
    files = {file.name: file.read_bytes() for file in directory.rglob("*") if file.is_file()}
    credentials = [one[name] for one in (first, second) for name in ("key", "token")]
    refused = [reply for reply in replies if reply.status_code != 200]
    return Run(credentials, refused, shown(records), files, trail, exposed)


def every_call(client: FlaskClient, reply: dict[str, Any], port: int) -> list[TestResponse]:
    """Everything that can be asked, with credentials in every place, in good and in bad order."""
    headers, own = headers_of(reply), {"x_key": reply["key"], "access_token": reply["token"]}
    alice, nobody = WebClient(client, headers), WebClient(client, {})
    query = f"x_key={reply['key']}&access_token={reply['token']}"
    document = {**DOCUMENT, "options": {**DOCUMENT["options"], "port": port}}
    return [
        nobody.send("POST", "/login", {"username": "alice", "password": "wrong-" + OF_ALICE}),
        nobody.send("POST", "/login", {"username": OF_ALICE, "password": "x"}),
        nobody.send("POST", "/login", {"password": OF_ALICE}),
        alice.send("PUT", SETTINGS, document),
        alice.send("POST", SETTINGS, document),
        alice.send("GET"),
        nobody.send("POST", f"{SETTINGS}?{query}", document),
        nobody.send("PUT", SETTINGS, {**document, **own}),
        nobody.send("PATCH", f"{SETTINGS}?{query}", {}),
        nobody.send("GET", f"/api/v2/absent?{query}"),
        alice.send("POST", SETTINGS, {**document, "options": 0}),
        alice.send("POST", SETTINGS, f'{{"pass":"{OF_RELAY}" "'.encode()),
        alice.send("POST", SETTINGS, f'{{"a":"{OF_RELAY}","b":1e999}}'.encode()),
        alice.send("POST", TEST, {"to": "a@b.example"}),
        WebClient(client, {**headers, "X-Access-Token": reply["token"] + "x"}).send("GET"),
        WebClient(client, {**headers, "X-Key": reply["key"][::-1]}).send("GET"),
        nobody.send("GET", "/api/v2/whoami", own),
        alice.send("DELETE"),
        alice.send("POST", SETTINGS, document),
        alice.send("POST", "/logout", own),
        alice.send("GET"),
    ]


def shown(records: list[logging.LogRecord]) -> list[str]:
    """The records as both forms of the log show them."""
    return [form.format(record) for record in records for form in (TextLines(), JsonLines())]


def test_the_run_was_one(run: Run) -> None:
    assert len(run.refused) > 20 and len(run.lines) > 50 and "settings post" in run.trail
    assert {reply.status_code for reply in run.refused} >= {400, 401, 404, 500}


def test_not_in_errors(run: Run) -> None:
    for reply in run.refused:
        assert MARK not in reply.text and base64_of(OF_RELAY) not in reply.text
        assert not [secret for secret in run.credentials if secret in reply.text]


def test_not_in_the_log(run: Run) -> None:
    for line in run.lines:
        assert MARK not in line and base64_of(OF_RELAY) not in line, line
        assert not [secret for secret in run.credentials if "login_session.name" not in line and secret in line], line


def test_not_in_files(run: Run) -> None:
    keys, tokens = run.credentials[::2], run.credentials[1::2]
    for name, content in run.files.items():
        assert MARK.encode() not in content, name
        assert not [token for token in tokens if token.encode() in content], name
        assert name.startswith("mailsvc.sqlite3") or not [key for key in keys if key.encode() in content], name


def test_not_in_the_trail_or_the_metrics(run: Run) -> None:
    for text in (run.trail, run.metrics):
        assert MARK not in text
        assert not [secret for secret in run.credentials if secret in text]
