"""Every call of this wire, with a secret wherever one can be sent."""

import json
import time
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.canaries import Canaries
from tests.protocols.docspace.portal import AUTHENTICATION, SAVED, SMTP, STATUS, TEST, Portal, basic, cookie
from tests.servers.smtp import Sane, scripted

LOGINS = (AUTHENTICATION, f"{AUTHENTICATION}.json")
LOGOUTS = (f"{AUTHENTICATION}/logout", f"{AUTHENTICATION}/logout.json")
PATHS = (SMTP, TEST, STATUS, *LOGINS, *LOGOUTS, f"{SMTP}/x")

LIMIT = 60.0
"""Seconds after which a test that should have ended has not."""


def calls(client: FlaskClient, ports: Ports, canaries: Canaries) -> Iterator[TestResponse]:
    """The replies to all of them."""
    secret, smtp_password = canaries.new(), canaries.new()
    users.change_password(ports, act(), name="root", password=secret)
    key = canaries.note(tokens.add_key(ports, act(), user="root"))
    root = _Caller(client, {"Authorization": key})
    yield from _settings(root, smtp_password, canaries)
    yield from _tests(root, smtp_password)
    yield from _logins(client, secret, canaries)
    yield from _refused_early(root, client, key, canaries)
    yield from _mistyped(client, canaries)
    yield root.ask("DELETE", SMTP)


class _Caller(Portal):
    """A portal's client whose answers are known for what they are."""

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **sent: Any) -> TestResponse:
        answer: Any = self.call(method, path, headers or {}, **sent)
        return answer  # type: ignore[no-any-return]


def _settings(root: _Caller, smtp_password: str, canaries: Canaries) -> Iterator[TestResponse]:
    full = {**SAVED, "credentialsUserPassword": smtp_password}
    for wrong in (
        {"port": canaries.new()},
        {"port": 0},
        {"credentialsUserPassword": [smtp_password]},
        {"credentialsUserPassword": smtp_password + "\n"},
        {"host": None, canaries.new(): canaries.new()},
        {"credentialsUserName": "", "enableAuth": True},
        {"enableSSL": canaries.new()},
        {"senderAddress": canaries.new() + "x" * 255},
        {"senderDisplayName": [canaries.new()]},
    ):
        yield root.ask("POST", SMTP, json=full | wrong)
    for body in (json.dumps([canaries.new()]), '{"credentialsUserPassword":"' + canaries.new(), f'"{canaries.new()}"'):
        yield root.ask("POST", SMTP, data=body, content_type="application/json")
    yield root.ask("POST", SMTP, json={**full, "enableAuth": False})
    yield root.ask("POST", SMTP, json=full)
    for method, path in (("GET", SMTP), ("GET", STATUS), ("DELETE", SMTP), ("GET", SMTP)):
        yield root.ask(method, path)


def _tests(root: _Caller, smtp_password: str) -> Iterator[TestResponse]:
    full = {**SAVED, "host": "127.0.0.1", "credentialsUserPassword": smtp_password}
    for mechanism, user in (("PLAIN", "panel"), ("LOGIN", "other"), ("CRAM-MD5", "panel"), ("PLAIN", "other")):
        sane = Sane(mechanisms=[mechanism], users={"panel": smtp_password}, refuse_login=f"535 no: {smtp_password}")
        with scripted(sane) as server:
            yield root.ask("POST", SMTP, json={**full, "port": server.port, "credentialsUserName": user})
            yield root.ask("GET", TEST)
            yield _ended(root)
    yield root.ask("GET", TEST)
    yield _ended(root)
    # More often than one may in a quarter of an hour.
    yield root.ask("GET", TEST)


def _ended(root: _Caller) -> TestResponse:
    expires = time.monotonic() + LIMIT
    while not (answer := root.ask("GET", STATUS)).get_json()["response"]["completed"]:
        assert time.monotonic() < expires
        time.sleep(0.05)
    return answer


def _logins(client: FlaskClient, secret: str, canaries: Canaries) -> Iterator[TestResponse]:
    anybody = _Caller(client)
    for login, logout in zip(LOGINS, LOGOUTS, strict=True):
        sent = {"userName": "root", "password": secret, "passwordHash": canaries.new(), canaries.new(): "x"}
        for body in ({"json": sent}, {"data": sent}):
            answer = anybody.ask("POST", login, **body)
            yield answer
            token = canaries.note(answer.get_json()["response"]["token"])
            for headers in ({"Authorization": token}, {"Authorization": f"Bearer {token}"}, cookie(token)):
                for method, path in (("GET", login), ("GET", SMTP), ("PUT", SMTP), ("GET", f"{SMTP}/x")):
                    yield anybody.ask(method, path, headers)
            yield anybody.ask("POST", logout, cookie(token))
            yield anybody.ask("GET", SMTP, cookie(token))
    for method, path in (("GET", AUTHENTICATION), ("GET", SMTP), ("DELETE", SMTP)):
        yield anybody.ask(method, path, basic("root", secret))


def _refused_early(root: _Caller, client: FlaskClient, key: str, canaries: Canaries) -> Iterator[TestResponse]:
    body = json.dumps({name: canaries.new() for name in ("credentialsUserPassword", "password", "userName")})
    browser = _Caller(client, cookie(key))
    for path in PATHS:
        # A logout succeeds whatever is sent, and a success shows its address whole.
        asked = path if path == LOGOUTS[0] else f"{path}?password={canaries.new()}"
        yield root.ask("POST", asked, data=body, content_type="text/plain")
        yield root.ask("POST", path, data=body + "x" * 1024 * 1024, content_type="application/json")
        yield root.ask("POST", path, data=body[:-1], content_type="application/json")
        yield root.ask("PUT", asked, data=body, content_type="application/json")
        yield root.ask("POST", path, cookie(canaries.new()), data=body, content_type="application/json")
        foreign = {"Origin": f"https://{canaries.new()}.example"}
        yield browser.ask("POST", path, foreign, data=body, content_type="application/json")


def _mistyped(client: FlaskClient, canaries: Canaries) -> Iterator[TestResponse]:
    elsewhere = {"REMOTE_ADDR": "192.0.2.99"}
    anybody = _Caller(client)
    for _ in range(6):
        for name, password in (("root", canaries.new()), (canaries.new(), "root"), (canaries.new() + "\0", "x")):
            for login in LOGINS:
                sent = {"userName": name, "password": password}
                yield anybody.ask("POST", login, json=sent, environ_overrides=elsewhere)
            yield anybody.ask("GET", SMTP, basic(name, password), environ_overrides=elsewhere)
        for authorization in (canaries.new(), f"Bearer {canaries.new()}", f"Basic {canaries.new()}"):
            headers = {"Authorization": authorization}
            yield anybody.ask("GET", SMTP, headers, environ_overrides=elsewhere)
