"""GET, POST and DELETE of the settings (contract, sections 3, 4 and 6; checklist 1, 9 to 16)."""

import json
from typing import Any

import pytest

from mailsvc.core.smtp_profile import PORTAL, STARTTLS, TLS
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports
from tests.protocols.docspace.portal import SAVED, SMTP, Portal, links, profiles, set_installation
from tests.services.callers import last_audit_entry

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

GOLDEN = (
    '{"host":"mail.example.com","port":25,"senderAddress":"notify@example.com","senderDisplayName":"Postman",'
    '"credentialsUserName":"notify@example.com","credentialsUserPassword":"","enableSSL":false,"enableAuth":true,'
    '"useNtlm":false,"isDefaultSettings":false}'
)
NOTHING = (
    '{"port":25,"credentialsUserPassword":"","enableSSL":false,"enableAuth":false,"useNtlm":false,'
    '"isDefaultSettings":true}'
)

PAGE_BODY = """{
  "host": "mail.example.com",
  "port": 25,
  "senderAddress": "notify@example.com",
  "senderDisplayName": "Postman",
  "credentialsUserName": "notify@example.com",
  "credentialsUserPassword": "{password}",
  "enableAuth": true
}"""


def envelope(response: str, method: str, path: str = SMTP) -> str:
    """A success, as it is on the wire."""
    return f'{{"response":{response},"count":1,{links(path, method)},"status":0,"statusCode":200}}'


def test_the_pages_example(root: Portal, ports: Ports) -> None:
    sent = {"Accept": "application/json", "Content-Type": "application/json"}
    saved = root.call("POST", SMTP, sent, data=PAGE_BODY)
    assert (saved.status_code, saved.text) == (200, envelope(GOLDEN, "POST"))
    assert saved.content_type == "application/json; charset=utf-8"
    assert saved.headers["Cache-Control"] == "no-store"
    assert saved.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in saved.headers if name[0].startswith("Access-Control")]
    assert last_audit_entry(ports) == ("docspace", "saveSmtpSettings", "root", "root", "portal", "done", 200)
    shown = root.get()
    assert (shown.status_code, shown.text) == (200, envelope(GOLDEN, "GET"))


@SQLITE
def test_a_trailing_slash_and_a_query_are_taken_and_told(root: Portal) -> None:
    assert root.get(f"{SMTP}/?a=b%20c&d=%22").text == envelope(NOTHING, "GET", f"{SMTP}/?a=b%20c&d=%22")


@SQLITE
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/json", "application/problem+json", "application/*+json", "TEXT/JSON; a=b"],
)
def test_the_pages_content_types(root: Portal, content_type: str) -> None:
    assert root.call("POST", SMTP, {"Content-Type": content_type}, data=PAGE_BODY).text == envelope(GOLDEN, "POST")


def test_a_save_replaces_all_of_it(root: Portal, ports: Ports) -> None:
    root.save(SAVED)
    shown = root.save({"host": "mx.test", "senderAddress": "a", "senderDisplayName": "Имя \U0001f600"}).json["response"]
    assert shown == {
        "host": "mx.test", "port": 25, "senderAddress": "a", "senderDisplayName": "Имя \U0001f600",
        "credentialsUserPassword": "", "enableSSL": False, "enableAuth": False, "useNtlm": False,
        "isDefaultSettings": False,
    }  # fmt: skip
    assert root.get().json["response"] == shown
    assert "Имя \U0001f600" in root.get().text, "text is not escaped"
    kept = smtp_profiles.found(ports, PORTAL)
    assert kept is not None
    assert (kept.profile.username, kept.password) == ("", None)


@SQLITE
def test_credentials_without_enable_auth_are_dropped(root: Portal, ports: Ports) -> None:
    root.save(SAVED)
    shown = root.save({**SAVED, "enableAuth": False})
    assert "credentialsUserName" not in shown.json["response"]
    assert root.save({**SAVED, "credentialsUserPassword": None}).status_code == 400, "the old password is not kept"
    kept = smtp_profiles.found(ports, PORTAL)
    assert kept is not None
    assert (kept.profile.username, kept.password) == ("", None)


@SQLITE
def test_an_empty_name_is_echoed_and_later_read_as_the_usual_one(root: Portal) -> None:
    assert root.save({**SAVED, "senderDisplayName": ""}).json["response"]["senderDisplayName"] == ""
    assert root.get().json["response"]["senderDisplayName"] == "ONLYOFFICE Postman"


@SQLITE
def test_what_is_ignored(root: Portal) -> None:
    shown = root.save({**SAVED, "useNtlm": True, "isDefaultSettings": True, "colour": {"red": [None]}, "": 1})
    assert shown.text == envelope(GOLDEN, "POST")


@SQLITE
def test_names_of_members_in_any_case_and_the_last_of_several(root: Portal) -> None:
    body = '{"HOST":"a","host":"b","SENDERADDRESS":"a@b","senderdisplayname":"x","Host":"last","enablessl":true}'
    shown = root.call("POST", SMTP, {"Content-Type": "application/json"}, data=body).json["response"]
    assert (shown["host"], shown["senderAddress"], shown["enableSSL"]) == ("last", "a@b", True)


@SQLITE
@pytest.mark.parametrize(("sent", "kept"), [("25", 25), (1, 1), (65535, 65535), ("0587", 587), (None, 25), ("-", 25)])
def test_ports(root: Portal, sent: Any, kept: int) -> None:
    members = {name: value for name, value in {**SAVED, "port": sent}.items() if value != "-"}
    assert root.save(members).json["response"]["port"] == kept


@SQLITE
@pytest.mark.parametrize("name", ["host", "senderAddress", "senderDisplayName", "credentialsUserName"])
def test_255_characters_pass(root: Portal, name: str) -> None:
    longest = "\U0001f600" * 255
    assert root.save({**SAVED, name: longest}).json["response"][name] == longest


@SQLITE
def test_a_password_may_be_long(root: Portal, ports: Ports) -> None:
    assert root.save({**SAVED, "credentialsUserPassword": "пароль " * 1000}).status_code == 200
    kept = smtp_profiles.found(ports, PORTAL)
    assert kept is not None
    assert smtp_profiles.route(ports, PORTAL, kept).password == "пароль " * 1000


def test_delete_is_the_same_as_often_as_it_is_asked_for(root: Portal, ports: Ports) -> None:
    set_installation(ports, host="mx.local", password="of the installation", username="u")
    before = profiles(ports)
    root.save(SAVED)
    assert len(profiles(ports)) == 2
    for _ in range(2):
        reset = root.delete()
        assert reset.status_code == 200
        assert reset.json["response"]["isDefaultSettings"] is True
        assert profiles(ports) == before
    assert last_audit_entry(ports)[1:] == ("resetSmtpSettings", "root", "root", "portal", "done", 200)


@SQLITE
def test_nothing_set_at_all(root: Portal) -> None:
    assert root.delete().text == envelope(NOTHING, "DELETE")
    assert root.get().text == envelope(NOTHING, "GET")


INSTALLATION = [
    (
        {"host": "mx.local", "port": 587, "security": STARTTLS, "sender": "box@x.org"},
        '{"host":"mx.local","port":587,"senderAddress":"box@x.org","senderDisplayName":"ONLYOFFICE Postman",'
        '"credentialsUserPassword":"","enableSSL":true,"enableAuth":false,"useNtlm":false,"isDefaultSettings":true}',
    ),
    (
        {"host": "mx.local", "security": TLS, "sender": "The Box <box@x.org>", "username": "u"},
        '{"host":"mx.local","port":465,"senderAddress":"box@x.org","senderDisplayName":"The Box",'
        '"credentialsUserName":"u","credentialsUserPassword":"","enableSSL":true,"enableAuth":true,"useNtlm":false,'
        '"isDefaultSettings":true}',
    ),
    (
        {"host": "mx.local", "sender": "other@x.test <box@x.org>"},
        '{"host":"mx.local","port":25,"senderAddress":"box@x.org","senderDisplayName":"other@x.test",'
        '"credentialsUserPassword":"","enableSSL":false,"enableAuth":false,"useNtlm":false,"isDefaultSettings":true}',
    ),
    (
        {"host": "mx.local", "sender": "box@x.org, other@x.test"},
        '{"host":"mx.local","port":25,"senderAddress":"box@x.org, other@x.test",'
        '"senderDisplayName":"ONLYOFFICE Postman","credentialsUserPassword":"","enableSSL":false,"enableAuth":false,'
        '"useNtlm":false,"isDefaultSettings":true}',
    ),
    (
        {"host": "mx.local", "security": STARTTLS},
        '{"host":"mx.local","port":587,"senderDisplayName":"ONLYOFFICE Postman","credentialsUserPassword":"",'
        '"enableSSL":true,"enableAuth":false,"useNtlm":false,"isDefaultSettings":true}',
    ),
    (
        {"host": "mx.local", "sender": "x" * 252 + "@a.b"},
        '{"host":"mx.local","port":25,"senderDisplayName":"ONLYOFFICE Postman","credentialsUserPassword":"",'
        '"enableSSL":false,"enableAuth":false,"useNtlm":false,"isDefaultSettings":true}',
    ),
    ({"sender": "box@x.org", "username": "u", "port": 26, "security": TLS}, NOTHING),
]


@SQLITE
@pytest.mark.parametrize(("profile", "shown"), INSTALLATION)
def test_the_installations_settings_are_the_defaults(
    root: Portal, ports: Ports, profile: dict[str, Any], shown: str
) -> None:
    set_installation(ports, **profile)
    assert root.get().text == envelope(shown, "GET")
    root.save(SAVED)
    assert root.get().text == envelope(GOLDEN, "GET")
    assert root.delete().text == envelope(shown, "DELETE")


class TestOneOfManyTenants:
    """MAILSVC_DOCSPACE_DEFAULT=saas."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"DOCSPACE_DEFAULT": "saas"}

    @SQLITE
    def test_the_installations_settings_are_hidden(self, root: Portal, ports: Ports) -> None:
        set_installation(ports, host="mx.local", sender="box@x.org")
        hidden = NOTHING.replace('"port":25', '"port":0')
        assert root.get().text == envelope(hidden, "GET")
        root.save(SAVED)
        assert root.get().text == envelope(GOLDEN, "GET")
        assert root.delete().text == envelope(hidden, "DELETE")
        assert smtp_profiles.effective(ports) is not None, "own mail still goes out through them"


def test_own_mail_goes_out_through_the_portals_profile(root: Portal, ports: Ports) -> None:
    def host() -> str | None:
        effective = smtp_profiles.effective(ports)
        return None if effective is None else effective[1].profile.host

    assert host() is None
    set_installation(ports, host="mx.local")
    assert host() == "mx.local"
    root.save(SAVED)
    assert host() == "mail.example.com"
    root.delete()
    assert host() == "mx.local"


@SQLITE
def test_a_save_asks_nobody(root: Portal, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    assert root.save({**SAVED, "host": "unreachable.invalid"}).status_code == 200


@SQLITE
def test_the_envelope_is_json_in_this_order(root: Portal) -> None:
    assert [*json.loads(root.get().text)] == ["response", "count", "links", "status", "statusCode"]
