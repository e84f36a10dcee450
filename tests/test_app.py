"""The factory: a sixth dialect is one new folder, and what goes wrong is answered in the shape of its wire."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

import config
from mailsvc import protocols
from mailsvc.app import create_app
from mailsvc.observation.logs import JsonLines
from mailsvc.observation.requests import SAFE_HEADERS
from mailsvc.protocols import bodies
from tests.protocols.brainycp.panel import Panel, parsed

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

SIXTH = '''
"""A dialect that is not there: one route that works, one with a bug, one that reads a body."""

from flask import Blueprint, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from mailsvc.core.acts import PanelUser
from mailsvc.observation import note
from mailsvc.protocols import Dialect
from mailsvc.services import mailboxes
from mailsvc.services.ports import Ports


def blueprint(ports: Ports) -> Blueprint:
    routes = Blueprint("sixth", __name__)

    @routes.get("/sixth/count")
    def count() -> str:
        note(operation="count", caller="somebody")
        return f"sixth {len(mailboxes.listed(ports, PanelUser(0, 'root', 'root')))}"

    @routes.get("/sixth/broken")
    @routes.get("/mailclient/sixth/broken")
    def broken() -> str:
        note(operation="broken")
        raise RuntimeError("a bug in the sixth dialect")

    @routes.post("/sixth/body")
    def body() -> str:
        note(operation="body")
        return f"sixth {len(request.get_data())}"

    return routes


def outside(error: Exception) -> Response:
    status = error.code if isinstance(error, HTTPException) and error.code else 500
    return Response(f"sixth says {status}", status, content_type="text/sixth")


DIALECT = Dialect("sixth", ("/sixth", "/mailclient/sixth"), blueprint, outside)
'''


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the application logs, one JSON object per line."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("mailsvc")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield stream
    log.removeHandler(handler)
    log.setLevel(before)


@pytest.fixture
def app(settings: config.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The application with a sixth dialect: a folder that appears among the others, and nothing else."""
    folder = tmp_path / "dialects" / "sixth"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(SIXTH, encoding="utf-8")
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(folder.parent)])
    application = create_app(settings)
    yield application
    application.extensions["mailsvc"].store.close()
    del sys.modules["mailsvc.protocols.sixth"]
    del protocols.sixth  # type: ignore[attr-defined]


def logged(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("mailsvc_requests_total", labels) or 0.0


def test_a_sixth_dialect_is_found_beside_the_others(app: Flask) -> None:
    assert "mailsvc.protocols.sixth" in sys.modules
    assert {"brainycp", "sixth"} <= set(app.blueprints)
    assert {"brainycp", "sixth"} <= {dialect.name for dialect in protocols.discover()}


def test_it_is_served_from_the_same_store(client: FlaskClient) -> None:
    assert client.get("/sixth/count").text == "sixth 1"
    added = Panel(client).post("addmail", email="new@example.com", password="Box-1", quota="0")
    assert added["error"] == 0
    assert client.get("/sixth/count").text == "sixth 2"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/sixth", 404),
        ("GET", "/sixth/", 404),
        ("GET", "/sixth/absent", 404),
        ("GET", "/mailclient/sixth/broken", 500),
        ("GET", "/sixth/broken", 500),
        ("POST", "/sixth/count", 405),
        ("DELETE", "/mailclient/sixth/broken", 405),
    ],
)
def test_its_errors_have_its_shape(client: FlaskClient, method: str, path: str, status: int) -> None:
    response = client.open(path, method=method)
    assert (response.status_code, response.text) == (status, f"sixth says {status}")
    assert response.headers["Content-Type"] == "text/sixth"


def test_a_body_over_the_limit_is_refused_in_its_shape(client: FlaskClient) -> None:
    assert client.post("/sixth/body", data=b"x" * bodies.BYTES).text == f"sixth {bodies.BYTES}"
    response = client.post("/sixth/body", data=b"x" * (bodies.BYTES + 1))
    assert (response.status_code, response.text) == (413, "sixth says 413")


def test_the_others_keep_theirs(client: FlaskClient) -> None:
    refused = client.put("/mailclient")
    assert (refused.status_code, refused.headers["Allow"], parsed(refused)["error"]) == (405, "GET, POST", 2)
    too_large = client.post("/api/api.php", data=b"x" * (bodies.BYTES + 1))
    assert (too_large.status_code, parsed(too_large)["error"]) == (413, 2)
    assert parsed(client.get("/api/api.php/absent")) | {"mess": "", "message": ""} == {
        "error": 1002, "mess": "", "code": 1002, "message": "",
    }  # fmt: skip
    assert parsed(client.get("/mailclient/sixthly"))["error"] == 1000


@pytest.mark.parametrize("path", ["/", "/sixthly", "/SIXTH/count", "/mailclients", "//sixth/count", "/api"])
def test_a_path_of_nobody_gets_plain_text(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.text) == (404, "404 Not Found\n")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_its_name_is_in_the_log_line_and_in_the_metrics(client: FlaskClient, lines: io.StringIO) -> None:
    before = counted(dialect="sixth", operation="count", outcome="200")
    client.get("/sixth/count")
    line = logged(lines)[-1]
    seen = {name: line[name] for name in ("dialect", "operation", "caller", "outcome", "code")}
    assert seen == {"dialect": "sixth", "operation": "count", "caller": "somebody", "outcome": "done", "code": 200}
    assert counted(dialect="sixth", operation="count", outcome="200") == before + 1


def test_a_bug_is_logged_once_with_its_traceback(client: FlaskClient, lines: io.StringIO) -> None:
    assert client.get("/sixth/broken").status_code == 500
    (bug, line) = logged(lines)
    assert (bug["level"], "a bug in the sixth dialect" in bug["traceback"]) == ("error", True)
    assert (line["dialect"], line["operation"], line["outcome"], line["status"]) == (
        "sixth", "broken", "RuntimeError", 500,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/absent"),
        ("GET", "/sixth/count"),
        ("GET", "/sixth/broken"),
        ("GET", "/mailclient"),
        ("POST", "/api/api.php"),
        ("PUT", "/api/api.php"),
    ],
)
def test_every_answer_has_safe_headers_and_a_name(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method)
    assert all(response.headers.getlist(name) == [value] for name, value in SAFE_HEADERS)
    assert len(response.headers["X-Request-ID"]) == 16
    assert "Set-Cookie" not in response.headers and "Location" not in response.headers


def test_a_method_that_is_not_allowed_says_what_is(client: FlaskClient) -> None:
    refused = client.put("/healthz")
    assert refused.status_code == 405
    assert {"GET", "HEAD"} <= set(refused.headers["Allow"].split(", "))


def test_a_proxy_counts_only_when_it_is_trusted(settings: config.Settings, lines: io.StringIO) -> None:
    sent = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7", "X-Request-ID": "given-by-proxy"}
    for count, address, given in ((0, "127.0.0.1", False), (1, "203.0.113.7", True), (2, "198.51.100.1", True)):
        environ = {"MAILSVC_DATA_DIR": str(settings.data_dir), "MAILSVC_TRUSTED_PROXIES": str(count)}
        application = create_app(config.load(environ))
        response = application.test_client().get("/healthz", headers=sent)
        line = logged(lines)[-1]
        assert line["address"] == address
        assert (line["request_id"] == "given-by-proxy") is given
        assert response.headers["X-Request-ID"] == line["request_id"]
        application.extensions["mailsvc"].store.close()
