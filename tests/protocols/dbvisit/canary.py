"""Every call of this wire, with a secret wherever one can be sent."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.canaries import Canaries
from tests.protocols.dbvisit.calling import CALLS, Program, basic
from tests.servers.smtp import Sane, scripted


def calls(client: FlaskClient, ports: Ports, canaries: Canaries) -> Iterator[TestResponse]:
    """The replies to all of them."""
    secret, smtp_password = canaries.new(), canaries.new()
    users.change_password(ports, act(), name="root", password=secret)
    root = Program(client, basic("root", secret))
    yield from _settings(root, smtp_password, canaries)
    yield from _tests(root, smtp_password)
    yield from _logins(root, ports, secret, canaries)
    yield from _refused_early(root, canaries)
    yield from _mistyped(root, canaries)
    yield root.post("clear")


def _settings(root: Program, smtp_password: str, canaries: Canaries) -> Iterator[TestResponse]:
    full: dict[str, Any] = {"smtp_host": "127.0.0.1", "username": "panel", "from_email": "a@b.example"}
    for call in CALLS:
        yield root.post(call, {**full, "password": smtp_password})
        yield root.post(call, {"password": [smtp_password], "smtp_port": canaries.new()})
        yield root.post(call, {"password": smtp_password + "\n", canaries.new(): canaries.new()})
        yield root.post(call, {"encryption": canaries.new(), "smtp_host": f"u:{canaries.new()}@host", "to": "x"})
        yield root.send(call, json.dumps({"params": [canaries.new()]}))
        yield root.send(call, '{"params":{"password":"' + canaries.new())
    yield root.post("edit", {**full, "password": smtp_password, "encryption": "Plain"})


def _tests(root: Program, smtp_password: str) -> Iterator[TestResponse]:
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for user, echo in (("panel", ""), ("other", smtp_password), ("other", _plain("other", smtp_password))):
            sane = Sane(mechanisms=[mechanism], users={"panel": smtp_password}, refuse_login=f"535 no: {echo}")
            with scripted(sane) as server:
                yield root.post("edit", {"smtp_port": server.port, "username": user})
                yield root.post("test", {"to": "a@b.example"})
    yield root.post("test", {"to": "a@b.example"})


def _plain(user: str, password: str) -> str:
    return b64encode(f"\0{user}\0{password}".encode()).decode()


def _logins(root: Program, ports: Ports, secret: str, canaries: Canaries) -> Iterator[TestResponse]:
    login = root.with_headers().send("/api/login", json.dumps({"UserName": "root", "Password": secret}))
    yield login
    cookie = canaries.note(login.headers["Set-Cookie"].split(";")[0].partition("=")[2])
    key = canaries.note(tokens.add_key(ports, act(), user="root"))
    for headers in ({"Cookie": f"dbvisit-standby={cookie}"}, {"Authorization": key}):
        program = root.with_headers(**headers)
        for call in CALLS:
            yield program.post(call)
        yield program.send("/api/logout", "{}")
        yield program.post("show")


def _refused_early(root: Program, canaries: Canaries) -> Iterator[TestResponse]:
    body = json.dumps({"params": {"password": canaries.new()}, "Password": canaries.new(), "UserName": canaries.new()})
    for path in ("/email-settings/edit", "/api/email-settings/test", "/api/login", "/api/logout", "/email-settings/x"):
        yield root.send(f"{path}?password={canaries.new()}", body, "text/plain")
        yield root.send(path, body + "x" * 1024 * 1024)
        yield root.send(path, body[:-1])
        yield root.also(Origin=f"https://{canaries.new()}.example").send(path, body)
        yield root.client.put(f"{path}?password={canaries.new()}", data=body, headers=root.headers)
        yield root.with_headers(Cookie=f"dbvisit-standby={canaries.new()}").send(path, body)


def _mistyped(root: Program, canaries: Canaries) -> Iterator[TestResponse]:
    elsewhere = {"REMOTE_ADDR": "192.0.2.99"}
    for _ in range(6):
        for name, password in (("root", canaries.new()), (canaries.new(), "root"), (canaries.new() + "\0", "x")):
            body = json.dumps({"UserName": name, "Password": password})
            yield root.with_headers().send("/api/login", body, environ_overrides=elsewhere)
            yield root.with_headers(**basic(name, password)).send("show", environ_overrides=elsewhere)
        for authorization in (canaries.new(), f"Bearer {canaries.new()}", f"Basic {canaries.new()}"):
            yield root.with_headers(Authorization=authorization).send("show", environ_overrides=elsewhere)
