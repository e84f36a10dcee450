"""The golden examples of the contract (section 10), as written there. Checklist 2."""

import json

import pytest
from flask.testing import FlaskClient

from tests.application import ROOT_SECRET
from tests.protocols.brainycp.panel import Panel, parsed

OF_ALICE = "login=alice&pass=Panel-1&module=mailclient&language=en"
G1 = (
    "username=alice&password=Panel-1&mailclient=1&addmail=1&email=Info%40Example.com&password=Box-1"
    "&quota=1024&language=en"
)
G8 = f"{OF_ALICE}&subdo=addforward&source=sales%40example.com&target=a%40b.example,%20c%40d.example&save_local=1"


def post(client: FlaskClient, body: str, path: str = "/api/api.php", **headers: str) -> tuple[int, str]:
    reply = parsed(client.post(path, data=body, content_type="application/x-www-form-urlencoded", headers=headers))
    return reply["error"], reply["mess"]


def test_g1_to_g4_a_mailbox_is_added_once(client: FlaskClient) -> None:
    assert post(client, G1) == (0, "Mailbox added successfully: info@example.com")
    g2 = "login=alice&pass=Panel-1&module=mailclient&subdo=addmail&email=info2%40example.com&password=Box-1&quota=0"
    assert post(client, g2) == (0, "Почтовый ящик успешно добавлен:info2@example.com")
    assert post(client, G1.replace("&password=Box-1", "")) == (2, "Error in the parameter array")
    assert post(client, G1) == (1, "This mailbox already exists: info@example.com")


def test_the_reply_is_exactly_four_members_with_unescaped_letters(client: FlaskClient) -> None:
    g2 = "login=alice&pass=Panel-1&module=mailclient&subdo=addmail&email=info2%40example.com&password=Box-1&quota=0"
    response = client.post("/api/api.php", data=g2, content_type="application/x-www-form-urlencoded")
    text = "Почтовый ящик успешно добавлен:info2@example.com"
    assert json.loads(response.data, object_pairs_hook=list) == [
        ("error", 0), ("mess", text), ("code", 0), ("message", text),
    ]  # fmt: skip
    assert text.encode() in response.data
    assert not response.data.startswith(b"\xef\xbb\xbf")


def test_g5_an_unknown_domain(client: FlaskClient) -> None:
    body = G1.replace("Info%40Example.com", "a%40nowhere.test")
    assert post(client, body) == (
        4,
        "The specified domain in the mailbox was not found in the system: a@nowhere.test",
    )


def test_g6_and_g7_a_mailbox_is_deleted_once(client: FlaskClient) -> None:
    basic = {"Authorization": "Basic YWxpY2U6UGFuZWwtMQ=="}
    body = "email=old%40example.com&language=en"
    assert post(client, body, "/mailclient/delmail", **basic) == (0, "Mailbox successfully deleted")
    gone = "Error deleting mailbox: no such mailbox: old@example.com"
    assert post(client, body, "/mailclient/delmail", **basic) == (1, gone)


def test_g8_to_g10_a_forward(client: FlaskClient) -> None:
    defined = "Mailbox forwarding was successfully defined: sales@example.com => a@b.example,c@d.example"
    assert post(client, G8) == (0, defined)
    assert post(client, G8.replace("a%40b.example,%20c%40d.example", "%7C/bin/sh")) == (
        2,
        "Error in the parameter array",
    )
    g10 = f"{OF_ALICE}&subdo=delforward&source=sales%40example.com&target=a%40b.example"
    assert post(client, g10) == (0, "Mailbox forwarding was deleted")
    assert Panel(client).post("getforwardmail")["data"] == [
        {"source": "sales@example.com", "target": "c@d.example", "save_local": 1}
    ]


def test_g11_and_g12_spf_and_dkim(client: FlaskClient) -> None:
    onspf = f"{OF_ALICE}&subdo=onspf&domain=example.com"
    assert post(client, onspf) == (0, "Entry for domain is enabled")
    assert post(client, onspf) == (3, "SPF is already enabled for domain: example.com")
    assert post(client, f"{OF_ALICE}&subdo=offdkim") == (1, "Error in the parameter array")


WRITING = ["addmail", "delmail", "addforward", "delforward", "onspf", "offspf", "ondkim", "offdkim"]


@pytest.mark.parametrize("operation", WRITING)
def test_g13_and_g14_acting_for_somebody_else(client: FlaskClient, operation: str) -> None:
    refused = (1000, "You do not have permission to administer this user")
    assert post(client, f"{OF_ALICE}&subdo={operation}&panel_user=bob") == refused
    assert post(client, f"{OF_ALICE}&subdo={operation}&panel_user=nobody") == refused
    of_root = f"login=root&pass={ROOT_SECRET}&module=mailclient&language=en"
    unknown = (1001, "There is no such user in the ISP-panel")
    assert post(client, f"{of_root}&subdo={operation}&panel_user=nobody") == unknown


def test_g15_wrong_secret_in_the_default_language(client: FlaskClient) -> None:
    wrong = "login=alice&pass=Panel-9&module=mailclient&subdo=getlistmail"
    assert post(client, wrong) == (1000, "У вас нет прав для администрирования этого пользователя")


def test_g16_the_credential_probe(client: FlaskClient) -> None:
    response = client.get("/api/api.php?Login=alice&pass=Panel-1")
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Length"] == "0"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_g17_another_module(client: FlaskClient) -> None:
    other = "login=alice&pass=Panel-1&module=hostacc&subdo=listuseracc&language=en"
    assert post(client, other) == (1002, "Wrong command")


def test_g18_no_writing_by_get(client: FlaskClient) -> None:
    response = client.get(f"/mailclient/addmail?{OF_ALICE}&email=x%40example.com&password=Box-1&quota=0")
    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert (parsed(response)["error"], parsed(response)["mess"]) == (2, "Error in the parameter array")
    assert Panel(client).post("getlistmail")["data"] == ["old@example.com"]


def test_the_lists(client: FlaskClient) -> None:
    post(client, G1)
    post(client, G1.replace("Info%40", "info2%40").replace("quota=1024", "quota=0"))
    post(client, G8)
    text = "The mailbox list was successfully retrieved for: alice"
    assert Panel(client).post("getlistmail") == {
        "error": 0,
        "mess": text,
        "code": 0,
        "message": text,
        "data": ["info2@example.com", "info@example.com", "old@example.com"],
        "boxes": [
            {"email": "info2@example.com", "quota": 0, "enabled": True},
            {"email": "info@example.com", "quota": 1024, "enabled": True},
            {"email": "old@example.com", "quota": 0, "enabled": True},
        ],
    }
    assert Panel(client).post("getforwardmail") == {
        "error": 0,
        "mess": text,
        "code": 0,
        "message": text,
        "data": [{"source": "sales@example.com", "target": "a@b.example,c@d.example", "save_local": 1}],
    }
