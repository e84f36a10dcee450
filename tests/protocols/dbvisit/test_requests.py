"""What is answered before any call: paths, methods, origins, content types, sizes, JSON. Checklist 7, 12 to 14."""

import json

import pytest
from flask.testing import FlaskClient

from mailsvc.protocols.dbvisit import identity
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports
from tests.protocols.dbvisit.calling import CALLS, FAMILIES, JSON, ON_SQLITE, Program, parsed, said

PATHS = [f"{family}/{call}" for family in FAMILIES for call in CALLS]
EVERY_PATH = [*PATHS, "/api/login", "/api/logout"]
pytestmark = ON_SQLITE

NOT_JSON = (400, "request body is not valid JSON")
UNSUPPORTED = (415, "Content-Type must be application/json")
FOREIGN = (403, "cross-site request refused")


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"{family}{rest}"
            for family in FAMILIES
            for rest in ("", "/", "/other", "/edit/x", "/edit//", "/Edit", "/edit ")
        ),
        "/api/login/x",
        "/api/logout/x",
    ],
)
def test_other_paths(path: str, client: FlaskClient, root: Program) -> None:
    assert said(root.send(path, "{}")) == (404, "not found")
    assert said(client.get(path)) == (404, "not found")


def test_the_letter_case_of_paths_matters(root: Program) -> None:
    assert root.send("/Email-Settings/show", "{}").status_code == 404


@pytest.mark.parametrize("path", [*EVERY_PATH, *(f"{path}/" for path in EVERY_PATH)])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods(path: str, method: str, client: FlaskClient) -> None:
    response = client.open(path, method=method, headers={"Origin": "https://evil.example"})
    assert response.status_code == 405 and response.headers["Allow"] == "POST"
    if method != "HEAD":
        assert said(response) == (405, "method not allowed")


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_origins(path: str, headers: dict[str, str], root: Program, anonymous: Program) -> None:
    for program in (root, anonymous):
        response = program.also(**{name.replace("-", "_"): value for name, value in headers.items()}).send(path, "{}")
        assert said(response) == FOREIGN
        assert "Set-Cookie" not in response.headers and "WWW-Authenticate" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost"}, {"Origin": "http://LOCALHOST:80"}, {"Sec_Fetch_Site": "same-origin"},
     {"Sec_Fetch_Site": "none"}],
)  # fmt: skip
def test_the_own_origin(headers: dict[str, str], root: Program) -> None:
    assert root.also(**headers).send("show").status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json5",
     "application/json; charset=latin-1", "application/json; charset=utf-16", "text/json"],
)  # fmt: skip
@pytest.mark.parametrize("path", EVERY_PATH)
def test_other_content_types(content_type: str | None, path: str, root: Program) -> None:
    for body in ("", "{}", '{"params":{}}'):
        assert said(root.send(path, body, content_type)) == UNSUPPORTED


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON", f"{JSON}; charset=utf-8", f'{JSON};charset="UTF-8"', f"{JSON}; x=y"]
)
def test_content_types_that_are_taken(content_type: str, root: Program) -> None:
    assert root.send("show", "{}", content_type).status_code == 200


def test_encodings(root: Program) -> None:
    assert said(root.also(Content_Encoding="gzip").send("show", b"\x1f\x8b")) == UNSUPPORTED
    assert root.also(Content_Encoding="identity").send("show", "{}").status_code == 200


@pytest.mark.parametrize("path", EVERY_PATH)
def test_too_much(path: str, root: Program) -> None:
    big = json.dumps({"params": {"x": "y" * 1024 * 1024}})
    assert said(root.send(path, big)) == (413, "request body too large")


def test_as_much_as_there_may_be(root: Program) -> None:
    body = b'{"params":{}}'
    assert root.send("show", body + b" " * (1024 * 1024 - len(body))).status_code == 200
    assert root.send("show", body + b" " * (1024 * 1024 + 1 - len(body))).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        "{", "}", "nonsense", " ", "{'params':{}}", '{"params":{},}', "\ufeff{}", '{"params":{"smtp_port":NaN}}', "NaN",
        '{"a":Infinity}', '{"a":-Infinity}', '{"params":{"smtp_port":1e999}}', f'{{"a":1{"0" * 400}}}',
        "[" * 101 + "]" * 101, "[" * 100_000, '{"a":' * 101 + "1" + "}" * 101, r'{"a":"\ud800"}', r'{"\udfff":1}',
        b'{"a":"\xff"}', b"\x00", '{"params":{}} {}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", EVERY_PATH)
def test_what_is_not_json(body: str | bytes, path: str, root: Program) -> None:
    assert said(root.send(path, body)) == NOT_JSON


@pytest.mark.parametrize("body", ["[]", "null", "1", '"x"', "true", '[{"params":{}}]'])
def test_json_that_is_no_object(body: str, root: Program) -> None:
    for path in EVERY_PATH:
        assert said(root.send(path, body)) == (400, "request body must be a JSON object")


@pytest.mark.parametrize("params", ["[]", "1", '"x"', "true", "0", '""', "false"])
def test_params_that_are_no_object(params: str, root: Program) -> None:
    for path in PATHS:
        assert said(root.send(path, f'{{"params":{params}}}')) == (400, "params must be a JSON object")


def test_half_a_body(root: Program) -> None:
    response = root.send("show", b"{}", environ_overrides={"CONTENT_LENGTH": "20"})
    assert said(response) == NOT_JSON


def test_the_first_check_that_fails_answers(anonymous: Program, alice: Program, root: Program) -> None:
    too_big, text = b"x" * (1024 * 1024 + 1), "text/plain"
    assert said(anonymous.also(Origin="null").send("/email-settings/x", too_big, text))[0] == 404
    assert anonymous.client.put("/email-settings/show", headers={"Origin": "null"}).status_code == 405
    assert said(anonymous.also(Origin="null").send("show", too_big, text)) == FOREIGN
    assert said(anonymous.send("show", too_big, text))[0] == 401
    assert said(alice.send("show", too_big, text)) == (403, "root rights required")
    assert said(root.send("show", too_big, text)) == UNSUPPORTED
    assert said(root.send("show", too_big))[0] == 413


def test_our_own_failure(root: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    root.result("edit", {"smtp_port": 1})

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Canary-trace")

    monkeypatch.setattr(smtp_profiles, "change", fail)
    assert root.refusal("edit", {"smtp_port": 2}) == (500, "internal error")
    monkeypatch.undo()
    assert root.result("show")["smtp_port"] == 1


def test_a_failure_outside_of_the_calls(root: Program, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Canary-trace")

    monkeypatch.setattr(identity, "prove", fail)
    monkeypatch.setattr(identity, "log_in", fail)
    for path in ("/email-settings/show", "/api/login"):
        response = root.send(path, "{}")
        assert said(response) == (500, "internal error") and "Canary" not in response.text
    assert ports


def test_no_reply_invites_another_site(root: Program, anonymous: Program) -> None:
    for program in (root, anonymous):
        for path in (*EVERY_PATH, "/email-settings/x"):
            parsed(program.send(path, "{}"))
