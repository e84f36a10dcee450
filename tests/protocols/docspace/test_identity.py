"""Who may call, by what proof, and from which pages (contract, C5 to C10 and 3.3; checklist 3 to 6)."""

import pytest
from flask.testing import FlaskClient

from mailsvc.core.acts import ROOT
from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, ROOT_SECRET, act
from tests.protocols.docspace.portal import (
    AUTHENTICATION,
    SAVED,
    SMTP,
    STATUS,
    TEST,
    Portal,
    basic,
    cookie,
    profiles,
    unknown_token,
)
from tests.protocols.docspace.test_authentication import FOREIGN, OWN
from tests.services.callers import found, last_audit_entry

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

REMEMBERED = [
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]

METHODS = [("GET", SMTP), ("POST", SMTP), ("DELETE", SMTP), ("GET", TEST), ("GET", STATUS)]

DENIED = (
    '{"error":{"message":"Access denied","type":"System.Security.SecurityException","stack":null,'
    '"hresult":-2146233078},"status":1,"statusCode":403}'
)


def nothing_done(ports: Ports) -> bool:
    """Whether nothing was saved, and no test begun."""
    return not profiles(ports) and not found(ports, "SELECT * FROM smtp_test")


def test_each_proof(anybody: Portal, root_key: str, ports: Ports) -> None:
    token = anybody.log_in("root", ROOT_SECRET).json["response"]["token"]
    for secret in (token, root_key, root_key.lower()):
        for proof in (
            cookie(secret),
            {"Cookie": f"a=b; asc_auth_key={secret}; c=d"},
            {"Authorization": secret},
            {"Authorization": f"Bearer {secret}"},
        ):
            assert anybody.call("GET", SMTP, proof).status_code == 200, proof
    assert anybody.call("GET", SMTP, basic("ROOT", ROOT_SECRET)).status_code == 200
    users.add(ports, act(), name="Второй", password="п:а р", role=ROOT, email="second@example.org")
    assert anybody.call("GET", SMTP, basic("Второй", "п:а р")).status_code == 200
    assert anybody.call("GET", SMTP, basic("Second@example.org", "п:а р")).status_code == 200


@SQLITE
@pytest.mark.parametrize(("method", "path"), METHODS)
def test_nobody(anybody: Portal, ports: Ports, method: str, path: str) -> None:
    response = anybody.call(method, path, json={})
    assert (response.status_code, response.data) == (401, b"")
    assert "WWW-Authenticate" not in response.headers
    assert "Set-Cookie" not in response.headers

    response = anybody.call(method, path, cookie(unknown_token()), json=SAVED)
    assert (response.status_code, response.data) == (401, b"")
    assert response.headers["Set-Cookie"].startswith("asc_auth_key=; Expires=Thu, 01 Jan 1970")
    assert "WWW-Authenticate" not in response.headers

    response = anybody.call(method, path, basic("root", "wrong"), json=SAVED)
    assert (response.status_code, response.data) == (401, b"")
    assert response.headers["WWW-Authenticate"] == "Basic"
    assert nothing_done(ports)


@SQLITE
def test_authorization_alone_decides(anybody: Portal, root_key: str) -> None:
    for wrong in (unknown_token(), f"Bearer {unknown_token()}", "Bearer", "Basic", "Basic !", "", "Digest a=b"):
        response = anybody.call("GET", SMTP, {"Authorization": wrong} | cookie(root_key))
        assert (response.status_code, response.data) == (401, b""), wrong
        assert "Set-Cookie" not in response.headers, "the cookie was not judged"
    for name in ("asc_auth_key", "token", "Authorization"):
        assert anybody.get(f"{SMTP}?{name}={root_key}").status_code == 401


@SQLITE
@pytest.mark.parametrize(("method", "path"), METHODS)
def test_another_role(alice: Portal, ports: Ports, method: str, path: str) -> None:
    for body in (b"{}", b"{", b"x" * (1024 * 1024 + 1)):
        response = alice.call(method, path, data=body)
        assert (response.status_code, response.text) == (403, DENIED)
    assert nothing_done(ports)


def test_a_refusal_of_what_would_change_something_goes_on_record(alice: Portal, root: Portal, ports: Ports) -> None:
    alice.save(SAVED)
    assert last_audit_entry(ports) == ("docspace", "saveSmtpSettings", "alice", "alice", "portal", "NotYours", 403)
    root.save({})
    assert last_audit_entry(ports)[1:] == ("saveSmtpSettings", "root", "root", "portal", "NotSaved", 400)
    alice.get()
    assert last_audit_entry(ports)[5] == "NotSaved", "reading does not"


def test_an_inactive_user_and_a_changed_password(anybody: Portal, ports: Ports, other_process: FlaskClient) -> None:
    users.add(ports, act(), name="second", password="Panel-3", role=ROOT)
    first = anybody.log_in("second", "Panel-3").json["response"]["token"]
    key = tokens.add_key(ports, act(), user="second")
    users.change_password(ports, act(), name="second", password="Panel-4")
    everywhere = (anybody, Portal(other_process))
    for portal in everywhere:
        assert portal.call("GET", SMTP, {"Authorization": first}).status_code == 401
        assert portal.call("GET", SMTP, {"Authorization": key}).status_code == 200
    users.disable(ports, act(), name="second")
    for portal in everywhere:
        for proof in ({"Authorization": key}, basic("second", "Panel-4")):
            assert portal.call("GET", SMTP, proof).status_code == 401


def test_basic_is_no_way_around_the_throttle(anybody: Portal) -> None:
    for _ in range(5):
        assert anybody.call("GET", SMTP, basic("root", "wrong")).status_code == 401
    response = anybody.call("GET", SMTP, basic("ROOT", ROOT_SECRET))
    assert (response.status_code, response.data) == (401, b"")
    assert anybody.log_in("root", ROOT_SECRET).status_code == 403


@SQLITE
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_what_another_site_makes_a_browser_send(
    anybody: Portal, root_key: str, ports: Ports, headers: dict[str, str]
) -> None:
    browser = headers | cookie(root_key)
    for method, path in (("POST", SMTP), ("DELETE", SMTP), ("GET", TEST)):
        response = anybody.call(method, path, browser, json=SAVED)
        assert (response.status_code, response.text) == (403, DENIED)
    for path in (SMTP, STATUS):
        assert anybody.call("GET", path, browser).status_code == 200
    assert nothing_done(ports)
    script = headers | {"Authorization": root_key}
    assert anybody.call("POST", SMTP, script, json=SAVED).status_code == 200, "no browser adds this by itself"


@SQLITE
@pytest.mark.parametrize("headers", OWN, ids=str)
def test_our_own_pages(anybody: Portal, root_key: str, headers: dict[str, str]) -> None:
    browser = headers | cookie(root_key)
    assert anybody.call("POST", SMTP, browser, json=SAVED).status_code == 200
    assert anybody.call("DELETE", SMTP, browser).status_code == 200


@SQLITE
@pytest.mark.parametrize("headers", REMEMBERED, ids=str)
def test_basic_that_a_browser_remembered(anybody: Portal, ports: Ports, headers: dict[str, str]) -> None:
    browser = headers | basic("root", ROOT_SECRET)
    for method, path in (("POST", SMTP), ("DELETE", SMTP), ("GET", TEST)):
        response = anybody.call(method, path, browser, json=SAVED)
        assert (response.status_code, response.text) == (403, DENIED)
    assert nothing_done(ports)
    for path in (SMTP, STATUS):
        assert anybody.call("GET", path, browser).status_code == 200
    for own in ({}, {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}):
        assert anybody.call("POST", SMTP, own | basic("root", ROOT_SECRET), json=SAVED).status_code == 200


@SQLITE
def test_a_form_with_a_cookie(root: Portal, ports: Ports) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        sent = {"Content-Type": content_type} if content_type else {}
        assert root.call("POST", SMTP, sent, data=b"{}").text == DENIED
        assert root.call("DELETE", SMTP, sent, data=b"x").text == DENIED
    assert root.call("DELETE", SMTP, {"Content-Type": "application/json"}, data=b"{}").status_code == 200
    assert root.delete().status_code == 200
    assert nothing_done(ports)


@SQLITE
def test_what_is_not_there(anybody: Portal, root: Portal, alice: Portal) -> None:
    unknown = ["/api/2.0/smtpsettings", "/api/2.0/smtpsettings/", f"{SMTP}.json", f"{SMTP}/x", f"{STATUS}/x",
               "/api/2.0/smtpsettings//smtp", f"{AUTHENTICATION}/x"]  # fmt: skip
    for path in unknown:
        assert (anybody.get(path).status_code, anybody.get(path).data) == (401, b""), path
        assert (root.get(path).status_code, root.get(path).data) == (404, b""), path
        assert alice.get(path).status_code == 404
    assert root.get("/api/2.0/SmtpSettings/smtp").status_code == 404, "paths are exact"


@SQLITE
def test_other_methods(anybody: Portal, root: Portal, ports: Ports) -> None:
    allowed = {SMTP: "GET, POST, DELETE", TEST: "GET", STATUS: "GET"}
    for path, methods in allowed.items():
        for method in ("HEAD", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
            assert anybody.call(method, path).status_code == 401
            response = root.call(method, path)
            assert (response.status_code, response.data) == (405, b""), (method, path)
            assert response.headers["Allow"] == methods
    assert root.call("POST", TEST).status_code == 405
    assert nothing_done(ports)


@SQLITE
def test_our_own_failure(
    root: Portal, ports: Ports, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("within")

    monkeypatch.setattr("mailsvc.services.smtp_profiles.found", break_down)
    monkeypatch.setattr("mailsvc.services.smtp_profiles.change", break_down)
    for response in (root.get(), root.save(SAVED)):
        assert (response.status_code, response.text) == (
            500,
            '{"error":{"message":"Internal Server Error","type":null,"stack":null,"hresult":0},"status":1,'
            '"statusCode":500}',
        )
    assert "RuntimeError: within" in caplog.text
    assert last_audit_entry(ports)[5:] == ("Broken", 500)
    monkeypatch.setattr("mailsvc.services.smtp_profiles.seen_by", break_down)
    monkeypatch.setattr("mailsvc.services.sign_in.checked", break_down)
    assert root.get().status_code == 500
    failed = root.log_in("alice", ALICE_SECRET, f"{AUTHENTICATION}.json")
    assert failed.json == {
        "status": 1,
        "statusCode": 500,
        "error": {
            "message": "Some unexpected error has occurred. Please try again later.",
            "hresult": -2146233088,
            "data": {},
        },
    }
