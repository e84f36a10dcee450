"""Every call of this wire, with a secret wherever one can be sent."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.canaries import Canaries
from tests.protocols.onlyoffice_mail.office import PREFIX, Office, basic, cookie, submission
from tests.servers.scripted import Talk, imap_login, scripted

EMAIL = "me@foreign.test"

LOGIN = "/api/2.0/authentication"

CALLS = (
    *(("GET", path) for path in ("", "/single", f"/{EMAIL}", "/setups", f"{PREFIX}/operations/1", "/nothing/x")),
    *(("POST", path) for path in ("", "/simple", "/oauth")),
    *(("PUT", path) for path in ("", "/state", "/default", "/oauth")),
    *(("DELETE", path) for path in ("", f"/{EMAIL}")),
    ("PATCH", ""),
)


def calls(client: FlaskClient, ports: Ports, canaries: Canaries) -> Iterator[TestResponse]:
    """The replies to all of them."""
    secret = canaries.new()
    users.change_password(ports, act(), name="alice", password=secret)
    key = canaries.note(tokens.add_key(ports, act(), user="alice"))
    alice = Office(client, {"Authorization": key})
    yield from _saved(alice, canaries)
    yield from _echoed(alice, canaries)
    yield from _mistyped(alice, canaries)
    yield from _credentials(client, secret, key, canaries)
    yield alice.call("DELETE", json={"email": EMAIL})


def _sixteen(password: str, smtp_password: str, **more: Any) -> dict[str, Any]:
    servers = {"server": "127.0.0.1", "smtp_server": "127.0.0.1", "account": "me", "smtp_account": "me"}
    members = {"name": "My box", "email": EMAIL, "password": password, "smtp_password": smtp_password, **servers}
    return {**members, "smtp_auth": True, "auth_type_in": 1, "auth_type_smtp": 1, "imap": True, **more}


def _saved(alice: Office, canaries: Canaries) -> Iterator[TestResponse]:
    password, smtp_password = canaries.new(), canaries.new()
    with (
        scripted(_welcoming) as incoming,
        submission("AUTH PLAIN", password=smtp_password) as (smtp_port, _),
    ):
        members = _sixteen(password, smtp_password, port=incoming.port, smtp_port=smtp_port)
        for method in ("POST", "PUT"):
            reply = alice.call(method, json=members)
            assert reply.status_code in (200, 201), reply.text
            yield reply
        yield alice.call("PUT", json={**members, "password": "", "smtp_password": ""})
        yield alice.call("PUT", json={**members, "smtp_password": canaries.new()})
        yield alice.call("PUT", "/state", json={"email": EMAIL, "state": True})
    for method, path in CALLS[:5]:
        yield alice.call(method, path, query_string={"email": EMAIL})
    yield alice.call("PUT", "/state", json={"email": EMAIL, "state": True})


def _welcoming(talk: Talk) -> None:
    imap_login(talk)
    while True:
        tag, _, command = talk.hear().partition(" ")
        talk.say("* CAPABILITY IMAP4rev1" if command == "CAPABILITY" else "* BYE", f"{tag} OK done")


def _echoed(alice: Office, canaries: Canaries) -> Iterator[TestResponse]:
    """Servers that say back whatever they are told."""

    def imap(talk: Talk) -> None:
        talk.say("* OK ready")
        while True:
            tag, _, command = talk.hear().partition(" ")
            knows = command.upper() == "CAPABILITY"
            talk.say(*(("* CAPABILITY IMAP4rev1", f"{tag} OK done") if knows else (f"{tag} NO {command}",)))

    def pop3(talk: Talk) -> None:
        talk.say("+OK ready")
        heard = ""
        while not (line := talk.hear()).startswith("PASS"):
            heard = line
            talk.say("-ERR" if heard == "CAPA" else "+OK")
        talk.say(f"-ERR {heard} {line}")

    def smtp(talk: Talk) -> None:
        talk.say("220 ready")
        while (line := talk.hear()).upper() != "QUIT":
            talk.say(*(("250-me", "250 AUTH PLAIN") if line.upper().startswith("EHLO") else (f"535 {line}",)))

    with scripted(imap) as first, scripted(pop3) as second, scripted(smtp) as outgoing:
        for incoming, speaks_imap in ((first, True), (second, False)):
            members = _sixteen(canaries.new(), canaries.new(), port=incoming.port, smtp_port=outgoing.port)
            reply = alice.call("POST", json={**members, "imap": speaks_imap})
            assert reply.text.count("***") == 2, reply.text
            yield reply


def _mistyped(alice: Office, canaries: Canaries) -> Iterator[TestResponse]:
    for method, path in CALLS:
        for members in _wrong(canaries):
            yield alice.call(method, path, json=members)
            yield alice.call(method, path, query_string={"email": EMAIL, "password": canaries.new()}, data=members)
        body = json.dumps({"email": EMAIL, "password": canaries.new()})
        yield alice.call(method, path, data=body[:-1], content_type="application/json")
        yield alice.call(method, path, data=body, content_type="text/plain")
        yield alice.call(method, path, data=body + " " * 1024 * 1024, content_type="application/json")


def _wrong(canaries: Canaries) -> Iterator[Mapping[str, str]]:
    yield {"password": canaries.new(), "smtp_password": canaries.new()}
    yield {"email": EMAIL, "password": canaries.new() + "\n", "smtp_password": canaries.new()}
    yield {"email": EMAIL, "password": canaries.new(), "port": "x"}
    yield {"email": EMAIL, "password": canaries.new(), "auth_type_in": "OAuth2"}
    yield {"email": "other@foreign.test", "password": canaries.new()}


def _credentials(client: FlaskClient, secret: str, key: str, canaries: Canaries) -> Iterator[TestResponse]:
    login = client.post(LOGIN, json={"userName": "alice", "password": secret})
    token = canaries.note(json.loads(login.text)["response"]["token"])
    for headers in (cookie(token), cookie(key), basic("alice", secret), {"Authorization": f"Bearer {token}"}):
        for foreign in ({}, {"Origin": f"https://{canaries.new()}.example"}):
            yield Office(client, headers).call("GET", "", foreign)
            yield Office(client, headers).call("PUT", "/default", foreign, json={"email": EMAIL})
    for wrong in (basic("alice", canaries.new()), basic(canaries.new(), "x"), cookie(canaries.new())):
        yield Office(client, wrong).call("GET")
    for authorization in (canaries.new(), f"Bearer {canaries.new()}", f"Basic {canaries.new()}"):
        yield Office(client, {"Authorization": authorization}).call("PUT", json={"email": EMAIL})
    yield Office(client).call("PUT", query_string={"Authorization": canaries.note(key)})
    yield client.post(f"{LOGIN}/logout", headers={"Authorization": token})
