"""Every call of this wire, with a secret wherever one can be sent."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services import domains, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.canaries import Canaries
from tests.protocols.webitel.smtp_servers import base64_of, scripted
from tests.protocols.webitel.web_client import SETTINGS, TEST, WebClient, headers_of

ECHOES = True
"""A document comes back as it was sent, and a path that is not there is named with its query."""

WHOAMI = "/api/v2/whoami"
ADDRESS = f"{SETTINGS}?domain=d1.example"


def calls(client: FlaskClient, ports: Ports, canaries: Canaries) -> Iterator[TestResponse]:
    """The replies to all of them."""
    secret, smtp_password = canaries.new(), canaries.new()
    domains.add(ports, act(), name="d1.example", owner="alice")
    users.change_password(ports, act(), name="alice", password=secret)
    document = _document(smtp_password, canaries)
    for name in ("alice", "ALICE"):
        yield WebClient(client, {}).send("POST", "/login", {"username": name, "password": secret})
    alice = _signed_in(client, secret, canaries)
    yield from _settings(alice, document, canaries)
    yield from _tests(alice, document, smtp_password, canaries)
    yield from _misplaced(alice, canaries)
    yield from _refused_early(alice, document, canaries)
    yield alice.send("DELETE", ADDRESS)
    yield alice.send("POST", "/logout")
    yield alice.send("GET", ADDRESS)
    yield from _mistyped(client, canaries)


def _document(smtp_password: str, canaries: Canaries) -> dict[str, Any]:
    return {
        "provider": "smtp", "from": "n@d1.example", "note": canaries.new(), canaries.new(): [canaries.new()],
        "options": {"host": "127.0.0.1", "debug": True, "auth": {"user": "u", "pass": smtp_password}},
    }  # fmt: skip


def _signed_in(client: FlaskClient, secret: str, canaries: Canaries) -> WebClient:
    reply: Any = WebClient(client, {}).send("POST", "/login", {"username": "alice", "password": secret}).json
    # The key names the session, and is kept as it is: without the token it opens nothing. That no log shows it is held
    # by test_secrets.
    canaries.note(reply["token"])
    return WebClient(client, headers_of(reply))


def _settings(alice: WebClient, document: Mapping[str, Any], canaries: Canaries) -> Iterator[TestResponse]:
    for method in ("PUT", "POST", "GET", "PUT", "HEAD", "PATCH"):
        yield alice.send(method, ADDRESS, document)
        yield alice.send(method, ADDRESS, {**document, "_id": canaries.new()})
        yield alice.send(method, ADDRESS, {**document, "provider": canaries.new()})
        yield alice.send(method, ADDRESS, {**document, "options": canaries.new()})
        yield alice.send(method, ADDRESS, [canaries.new()])
        yield alice.send(method, ADDRESS, json.dumps(document).encode()[:-1])
        yield alice.send(method, f"{SETTINGS}?domain=bob.test", document)
    yield alice.send("GET", WHOAMI)


def _tests(
    alice: WebClient, document: Mapping[str, Any], smtp_password: str, canaries: Canaries
) -> Iterator[TestResponse]:
    refused = {"AUTH": f"535 no {smtp_password} {base64_of(smtp_password)}"}
    for replies in ({}, refused):
        with scripted(replies) as server:
            options = {**document["options"], "port": server.port}
            yield alice.send("POST", ADDRESS, {**document, "options": options})
            yield alice.send("POST", f"{TEST}?domain=d1.example", {"to": "a@b.example"})
            yield alice.send("POST", f"{TEST}/a@b.example?domain=d1.example", {"note": canaries.new()})
            yield alice.send("POST", f"{TEST}?domain=d1.example", {"to": [canaries.new()]})
            yield alice.send("POST", f"{TEST}?domain=d1.example", {"to": canaries.new()})
    yield alice.send("POST", f"{TEST}?domain=d1.example", {"to": "a@b.example"})
    for changed in ({"service": canaries.new(), "host": None}, {"port": canaries.new()}, {"auth": canaries.new()}):
        yield alice.send("POST", ADDRESS, {**document, "options": {**document["options"], **changed}})
        yield alice.send("POST", f"{TEST}?domain=d1.example", {"to": "a@b.example"})


def _misplaced(alice: WebClient, canaries: Canaries) -> Iterator[TestResponse]:
    """The credentials where else this wire takes them, and others that are nobody's."""
    key, token = alice.headers["X-Key"], alice.headers["X-Access-Token"]
    nobody = WebClient(alice.client, {})
    yield nobody.send("GET", f"{ADDRESS}&x_key={key}&access_token={token}")
    yield nobody.send("POST", TEST, {"x_key": key, "access_token": token, "to": "a@b.example"})
    yield nobody.send("POST", "/logout", {"x_key": canaries.new(), "access_token": token})
    for wrong in ({"X-Key": canaries.new()}, {"X-Access-Token": canaries.new()}):
        for method, path in (("GET", ADDRESS), ("POST", "/logout"), ("GET", WHOAMI)):
            yield nobody.send(method, path, headers={**alice.headers, **wrong})


def _refused_early(alice: WebClient, document: Mapping[str, Any], canaries: Canaries) -> Iterator[TestResponse]:
    body = json.dumps(document).encode()
    for path in (SETTINGS, TEST, f"{TEST}/{canaries.new()}", "/login", "/logout", WHOAMI, "/api/v2/none"):
        asked = f"{path}?password={canaries.new()}&domain=d1.example"
        yield alice.send("POST", asked, body, headers={"Content-Type": "text/plain"})
        yield alice.send("POST", asked, body + b" " * 1024 * 1024)
        yield alice.send("POST", asked, body[:-1])
        yield alice.send("DELETE", f"{path}/{canaries.new()}?password={canaries.new()}", body)
        yield WebClient(alice.client, {}).send("POST", asked, body)


def _mistyped(client: FlaskClient, canaries: Canaries) -> Iterator[TestResponse]:
    nobody, elsewhere = WebClient(client, {}), {"REMOTE_ADDR": "192.0.2.99"}
    for _ in range(6):
        for name, password in (("alice", canaries.new()), (canaries.new(), "x"), (canaries.new() + "\0", "x")):
            for body in ({"username": name, "password": password}, {"username": [name], "password": {"x": password}}):
                yield nobody.send("POST", "/login", body, environ_overrides=elsewhere)
