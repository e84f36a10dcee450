"""What a save refuses, and that it then changes nothing (contract, sections 3 and 4; checklist 2, 7 to 9, 14)."""

import json
from typing import Any

import pytest

from tests.protocols.docspace.portal import SAVED, SMTP, Portal, links

OBJECT = {"Content-Type": "application/json"}


def too_long(name: str) -> str:
    return f"The field {name} must be a string with a maximum length of 255."


def not_allowed(name: str) -> str:
    return f"The field {name} contains characters that are not allowed."


def not_converted(path: str) -> str:
    return f"The JSON value could not be converted. Path: {path}"


PORT = "The field Port must be between 1 and 65535."

WRONG_SWITCHES: tuple[Any, ...] = (None, "true", 1, [])

MEMBERS: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
    ({"host": "a" * 256}, {"Host": [too_long("Host")]}),
    ({"senderAddress": "a" * 256}, {"SenderAddress": [too_long("SenderAddress")]}),
    ({"senderDisplayName": "a" * 256}, {"SenderDisplayName": [too_long("SenderDisplayName")]}),
    ({"credentialsUserName": "a" * 256}, {"CredentialsUserName": [too_long("CredentialsUserName")]}),
    ({"host": "a" * 256, "port": 0}, {"Host": [too_long("Host")], "Port": [PORT]}),
    *(({"port": port}, {"Port": [PORT]}) for port in (0, -1, 65536, "0", "-5", 10**30, "99999999999")),
    *(
        ({name: f"a{letter}b"}, {pascal: [not_allowed(pascal)]})
        for name, pascal in (
            ("host", "Host"),
            ("senderAddress", "SenderAddress"),
            ("senderDisplayName", "SenderDisplayName"),
            ("credentialsUserName", "CredentialsUserName"),
            ("credentialsUserPassword", "CredentialsUserPassword"),
        )
        for letter in ("\r", "\n", "\r\n", "\0")
    ),
    *(({"port": port}, {"$.port": [not_converted("$.port")]}) for port in ("abc", "", " 25", "٢٥", 25.0, True, [25])),
    *(({"host": host}, {"$.host": [not_converted("$.host")]}) for host in (1, True, ["a"], {"a": 1})),
    *(
        ({name: value}, {f"$.{name}": [not_converted(f"$.{name}")]})
        for name in ("enableSSL", "enableAuth", "useNtlm", "isDefaultSettings")
        for value in WRONG_SWITCHES
    ),
    ({"ENABLEssl": 0, "Host": "a" * 256}, {"$.enableSSL": [not_converted("$.enableSSL")]}),
]


@pytest.mark.parametrize(("members", "errors"), MEMBERS, ids=str)
def test_wrong_members(in_vain: Portal, members: dict[str, Any], errors: dict[str, list[str]]) -> None:
    names = {name.lower() for name in members}
    response = in_vain.save({name: value for name, value in SAVED.items() if name.lower() not in names} | members)
    assert response.status_code == 400
    trace = response.json["response"]["traceId"]
    assert response.text == (
        f'{{"response":{{"errors":{json.dumps(errors, separators=(",", ":"))},'
        '"type":"https://tools.ietf.org/html/rfc9110#section-15.5.1",'
        f'"title":"One or more validation errors occurred.","status":400,"traceId":"{trace}"}},'
        f'"count":1,{links(SMTP, "POST")},"status":1,"statusCode":400}}'
    )
    assert isinstance(trace, str) and trace


NO_JSON = {
    "half": b'{"host":"a"',
    "blank": b" ",
    "list": b"[]",
    "text": b'"a"',
    "null": b"null",
    "NaN": b'{"host":"a","port":NaN}',
    "Infinity": b'{"x":-Infinity}',
    "not UTF-8": b'{"host":"\xff"}',
    "half a character": b'{"host":"\\ud800"}',
    "deep": b'{"x":' + b"[" * 101 + b"]" * 101 + b"}",
    "endless": b"[" * 500_000,
    "comment": b'{"host":"a"/* */}',
}


@pytest.mark.parametrize("case", NO_JSON)
def test_no_json_object(in_vain: Portal, case: str) -> None:
    response = in_vain.call("POST", SMTP, OBJECT, data=NO_JSON[case])
    assert response.status_code == 400
    assert response.json["response"]["errors"] == {"$": [not_converted("$")]}


def test_no_body(in_vain: Portal) -> None:
    response = in_vain.call("POST", SMTP, OBJECT)
    assert response.json["response"]["errors"] == {"": ["A non-empty request body is required."]}


def argument(message: str, kind: str = "System.ArgumentException", number: int = -2147024809) -> str:
    return (
        f'{{"error":{{"message":"{message}","type":"{kind}","stack":null,"hresult":{number}}},'
        '"status":1,"statusCode":400}'
    )


NO_HOST = argument("Empty smtp host. (Parameter 'host')")
NO_SENDER = argument("Empty sender address. (Parameter 'senderAddress')")
NO_NAME = argument("Value cannot be null. (Parameter 'senderDisplayName')", "System.ArgumentNullException", -2147467261)
NO_USER = argument("Empty user name. (Parameter 'userName')")
NO_PASSWORD = argument("Empty password. (Parameter 'password')")

INCOMPLETE: list[tuple[dict[str, Any], str]] = [
    ({}, NO_HOST),
    ({"enableAuth": True}, NO_HOST),
    ({"host": "", "senderAddress": "a@b", "senderDisplayName": "x"}, NO_HOST),
    ({"host": None, "senderAddress": "a@b", "senderDisplayName": "x"}, NO_HOST),
    ({"host": "h", "enableAuth": True}, NO_SENDER),
    ({"host": "h", "senderAddress": "", "senderDisplayName": "x"}, NO_SENDER),
    ({"host": "h", "senderAddress": "a@b", "enableAuth": True}, NO_NAME),
    ({"host": "h", "senderAddress": "a@b", "senderDisplayName": None}, NO_NAME),
    ({"host": "h", "senderAddress": "a@b", "senderDisplayName": "", "enableAuth": True}, NO_USER),
    ({"host": "h", "senderAddress": "a@b", "senderDisplayName": "", "enableAuth": True, "credentialsUserName": "",
      "credentialsUserPassword": "p"}, NO_USER),
    ({"host": "h", "senderAddress": "a@b", "senderDisplayName": "", "enableAuth": True, "credentialsUserName": "u"},
     NO_PASSWORD),
    ({"host": "h", "senderAddress": "a@b", "senderDisplayName": "", "enableAuth": True, "credentialsUserName": "u",
      "credentialsUserPassword": ""}, NO_PASSWORD),
]  # fmt: skip


@pytest.mark.parametrize(("members", "text"), INCOMPLETE, ids=str)
def test_members_that_do_not_go_together(in_vain: Portal, members: dict[str, Any], text: str) -> None:
    before = in_vain.get().text
    response = in_vain.save(members)
    assert (response.status_code, response.text) == (400, text)
    assert in_vain.get().text == before


WRONG_TYPE = (
    '{"error":{"message":"Unsupported Media Type","type":null,"stack":null,"hresult":0},"status":1,"statusCode":415}'
)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/+json"},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_other_content_types(in_vain: Portal, headers: dict[str, str]) -> None:
    response = in_vain.call("POST", SMTP, headers, data=b"{}")
    assert (response.status_code, response.text) == (415, WRONG_TYPE)


def test_a_body_that_is_not_encoded_may_say_so(in_vain: Portal) -> None:
    assert in_vain.call("POST", SMTP, OBJECT | {"Content-Encoding": "Identity"}, data=b"{}").text == NO_HOST


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_a_body_over_one_mebibyte(in_vain: Portal, method: str) -> None:
    response = in_vain.call(method, SMTP, {"Content-Type": "text/plain"}, data=b" " * (1024 * 1024 + 1))
    assert (response.status_code, response.text) == (
        413,
        '{"error":{"message":"Request body too large.","type":null,"stack":null,"hresult":0},"status":1,'
        '"statusCode":413}',
    )


def test_a_body_of_one_mebibyte_is_read(in_vain: Portal) -> None:
    assert in_vain.call("POST", SMTP, OBJECT, data=b"{}".ljust(1024 * 1024)).text == NO_HOST


def test_a_body_that_is_cut_short(in_vain: Portal) -> None:
    response = in_vain.call("POST", SMTP, OBJECT | {"Content-Length": "10"}, input_stream=None, data=b"")
    assert response.status_code == 400
