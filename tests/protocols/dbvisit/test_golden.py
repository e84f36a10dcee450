"""The golden examples of the contract (section 7), as written there, in their order. Checklist 1."""

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET
from tests.protocols.dbvisit.calling import CHALLENGE, basic, parsed
from tests.servers.smtp import Sane, scripted

A = {"Authorization": "Basic cm9vdDpSb290LTE="}
EMPTY = (
    '{"result":{"allow_selfsigned_certs":false,"encryption":"Plain","from_email":"","smtp_host":"","smtp_port":0,'
    '"username":""},"successful":true}'
)
PAGE = (
    '{"params":{"allow_selfsigned_certs":false,"encryption":"Plain","from_email":"string","password":"string",'
    '"smtp_host":"string","smtp_port":123,"username":"string"}}'
)


def post(client: FlaskClient, path: str, body: str, headers: dict[str, str] | None = None) -> TestResponse:
    return client.post(path, data=body, headers={"Content-Type": "application/json", **(headers or {})})


def says(response: TestResponse) -> tuple[int, str]:
    parsed(response)
    return response.status_code, response.text


def refused(message: str) -> str:
    return f'{{"error":{{"message":"{message}"}},"successful":false}}'


def test_g1_to_g16(client: FlaskClient, ports: Ports) -> None:
    def call(name: str, body: str, headers: dict[str, str] = A) -> tuple[int, str]:
        return says(post(client, f"/email-settings/{name}", body, headers))

    assert call("show", '{"params":{}}') == (200, EMPTY)
    assert call("edit", PAGE) == (
        200,
        '{"result":{"allow_selfsigned_certs":false,"encryption":"Plain","from_email":"string","smtp_host":"string",'
        '"smtp_port":123,"username":"string"},"successful":true}',
    )
    g3 = (
        '{"params":{"encryption":"StartTLS","smtp_port":587,"smtp_host":"smtp.example.com","username":null,'
        '"colour":"red"}}'
    )
    after = (
        '{"result":{"allow_selfsigned_certs":false,"encryption":"StartTLS","from_email":"string",'
        '"smtp_host":"smtp.example.com","smtp_port":587,"username":"string"},"successful":true}'
    )
    assert says(post(client, "/api/email-settings/edit", g3, A)) == (200, after)
    assert call("edit", '{"params":{"encryption":"starttls","smtp_port":25}}') == (
        400, refused("encryption must be one of: Plain, StartTLS, TLS"),
    )  # fmt: skip
    assert call("show", "{}") == (200, after)
    for port in ("-1", "true", '"25"', "25.0", "65536"):
        assert call("edit", f'{{"params":{{"smtp_port":{port}}}}}') == (
            400, refused("smtp_port must be an integer between 0 and 65535"),
        )  # fmt: skip
    assert call("edit", '{"params":[]}') == (400, refused("params must be a JSON object"))
    assert call("edit", "{") == (400, refused("request body is not valid JSON"))
    g8 = post(client, "/email-settings/show", '{"params":{}}')
    assert says(g8) == (401, refused("authentication required"))
    assert g8.headers["WWW-Authenticate"] == CHALLENGE
    g9 = call("show", '{"params":{}}', basic("alice", ALICE_SECRET))
    assert g9 == (403, refused("root rights required"))
    g10 = client.get("/email-settings/show")
    assert (says(g10), g10.headers["Allow"]) == ((405, refused("method not allowed")), "POST")
    assert call("show", '{"params":{}}', {**A, "Content-Type": "text/plain"}) == (
        415, refused("Content-Type must be application/json"),
    )  # fmt: skip
    g12 = post(client, "/api/login", '{"UserName":"root","Password":"Root-1"}')
    assert says(g12) == (200, '{"Status":200,"Result":{}}')
    cookie = g12.headers["Set-Cookie"].split(";")[0]
    g13 = call("show", '{"params":{}}', {"Cookie": cookie, "Origin": "https://evil.example"})
    assert g13 == (403, refused("cross-site request refused"))
    assert call("test", '{"params":{"to":"a@b.example"}}') == (400, refused("from_email is not a valid address"))
    sane = Sane()
    with scripted(sane) as server:
        right = f'"encryption":"Plain","smtp_host":"127.0.0.1","smtp_port":{server.port},"from_email":"p@example.com"'
        assert call("edit", f'{{"params":{{{right},"username":""}}}}')[0] == 200
        assert call("test", '{"params":{"to":"a@b.example"}}') == (
            200, '{"result":{"message":"test email sent to a@b.example"},"successful":true}',
        )  # fmt: skip
    assert [received.recipients for received in sane.received] == [["a@b.example"]]
    assert call("clear", '{"params":{}}') == call("clear", '{"params":{}}') == (200, EMPTY)
