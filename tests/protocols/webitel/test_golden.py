"""The contract's golden examples, word for word: members in their order, values, statuses (acceptance line 1)."""

import json
import re
from typing import Any

from flask.testing import FlaskClient

from tests.protocols.webitel.smtp_servers import CarefulServer
from tests.protocols.webitel.web_client import SETTINGS, SMTP, TEST, WebClient, answer, login

G2: dict[str, Any] = {
    "domain": "d1.example", "provider": "smtp", "from": "n@d1.example",
    "options": {"host": "127.0.0.1", "port": 18025, "secure": True, "auth": None, "debug": False,
                "tls": {"rejectUnauthorized": False}},
}  # fmt: skip
G3: dict[str, Any] = {
    "provider": "smtp", "description": "Office relay", "from": "n@d1.example",
    "options": {"host": "smtp.d1.example", "port": 465, "secure": True, "debug": False,
                "tls": {"rejectUnauthorized": False}, "auth": {"user": "n@d1.example", "pass": "s3cret"}},
    "zzz": [1, {"b": 2, "a": 1}],
}  # fmt: skip
HEX = re.compile(r"[0-9a-f]{24}")


def text(value: Any) -> str:
    """JSON as the examples are written: dictionaries compare without their order, texts with it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def said(client: WebClient, method: str, path: str = SETTINGS, body: Any = None) -> tuple[int, str]:
    """Status and body of a reply, the latter as text."""
    response = client.send(method, path, body)
    answer(response)
    return response.status_code, response.text


def named(status_and_text: tuple[int, str], document: dict[str, Any]) -> str:
    """The name of a document in a reply, which is asserted to be ``document`` after it."""
    status, sent = status_and_text
    name: str = json.loads(sent)["_id"]
    assert HEX.fullmatch(name)
    assert (status, sent) == (200, text({"_id": name, **document}))
    return name


def test_g1_login(client: FlaskClient) -> None:
    reply = login(client)
    assert text(reply) == text(
        {"key": reply["key"], "domain": "d1.example", "username": "alice", "expires": reply["expires"],
         "token": reply["token"], "role": 1, "roleName": "admin", "acl": {"email": ["*"]},
         "cdr": {"host": "", "useProxy": True}, "verto": ""}
    )  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", reply["key"])


def test_g2_to_g4_and_g12_the_document_of_alice(alice: WebClient) -> None:
    name = named(said(alice, "POST", f"{SETTINGS}?domain=d1.example", G2), G2)
    shown = {**G3, "domain": "d1.example"}
    assert named(said(alice, "PUT", f"/engine{SETTINGS}/", G3), shown) == name
    assert named(said(alice, "GET"), shown) == name
    assert named(said(alice, "GET", f"{SETTINGS}?domain=other.example"), shown) == name
    assert said(alice, "DELETE") == (200, '{"status":"OK","Info":"Removed 1 record."}')
    assert said(alice, "DELETE") == (200, '{"status":"OK","Info":"Removed 0 record."}')


def test_g5_g6_carol_has_to_say_which(carol: WebClient) -> None:
    assert said(carol, "GET") == (400, '{"status":"error","info":"Bad request (domain required)."}')
    for method in ("GET", "POST", "PUT", "DELETE"):
        for name in ("d1.example", "nowhere.example"):
            body = None if method == "GET" else SMTP
            refused = said(carol, method, f"{SETTINGS}?domain={name}", body)
            assert refused == (403, '{"status":"error","info":"Permission denied!"}')


def test_g7_to_g11_root(root: WebClient) -> None:
    one = f"{SETTINGS}?domain=c1.example"
    assert said(root, "GET", one) == (404, '{"status":"error","info":"Not found!"}')
    assert said(root, "PUT", one, SMTP) == (404, '{"status":"error","info":"Not found."}')
    named(said(root, "POST", one, SMTP), {**SMTP, "domain": "c1.example"})
    bad = (400, '{"status":"error","info":"Bad parameters."}')
    assert said(root, "POST", one, {"provider": "smtp", "options": 0}) == bad
    assert said(root, "POST", f"{one}&domain=c2.example", SMTP) == bad


def test_g13_an_unknown_method_is_an_unknown_path(alice: WebClient) -> None:
    refused = said(alice, "PATCH", f"/engine{SETTINGS}?x=1")
    assert refused == (404, '{"status":"error","info":"/api/v2/email/settings?x=1 not found."}')


def test_g14_g15_without_credentials(client: FlaskClient) -> None:
    nobody = WebClient(client, {})
    assert said(nobody, "POST", SETTINGS, b"{bad") == (
        400, '{"status":"error","info":"Unexpected token b in JSON at position 1"}',
    )  # fmt: skip
    assert said(nobody, "GET") == (401, '{"status":"error","info":"Invalid token"}')


def test_g16_the_test_message(alice: WebClient, smtp: CarefulServer) -> None:
    smtp.replies["DATA"] = "250 2.0.0 Ok: queued as ABC123"
    options = {"host": "127.0.0.1", "port": smtp.port, "secure": False}
    alice.call("POST", SETTINGS, {"provider": "smtp", "from": "n@d1.example", "options": options})
    status, sent = said(alice, "POST", TEST, {"to": "a@b.example"})
    name = json.loads(sent)["info"]["messageId"]
    assert re.fullmatch(r"[0-9]+\.[0-9a-f]+@d1\.example", name)
    assert (status, sent) == (
        200,
        '{"status":"OK","info":{"accepted":["a@b.example"],"rejected":[],'
        '"response":"250 2.0.0 Ok: queued as ABC123","envelope":{"from":"n@d1.example","to":["a@b.example"]},'
        f'"messageId":"{name}"}}}}',
    )


def test_g17_nobody_listens(alice: WebClient, closed_port: int) -> None:
    options = {"host": "127.0.0.1", "port": closed_port}
    alice.call("POST", SETTINGS, {"provider": "smtp", "from": "n@d1.example", "options": options})
    assert said(alice, "POST", f"{TEST}/a@b.example") == (
        500,
        f'{{"status":"error","info":"connect ECONNREFUSED 127.0.0.1:{closed_port}","code":"ECONNREFUSED"}}',
    )
