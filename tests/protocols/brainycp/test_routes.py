"""Entrances, methods, fields, naming, acting user, language, and the order of checks (contract, sections 1 and 3)."""

import io
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient

from mailsvc.protocols import bodies
from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, act
from tests.protocols.brainycp.panel import (
    BAD_PARAMETERS,
    LISTS,
    NO_RIGHTS,
    ON_SQLITE,
    SWITCHES,
    URLENCODED,
    WRITING,
    WRONG_COMMAND,
    Pair,
    Panel,
    form,
    multipart,
    parsed,
    says,
    urlencoded,
)
from tests.protocols.brainycp.stored import everything, mailboxes

CREDENTIALS = [("login", "alice"), ("pass", ALICE_SECRET)]
EN = ("language", "en")
BOX = [("email", "new@example.com"), ("password", "Box-1"), ("quota", "0")]
OPERATIONS = (*WRITING, *LISTS)

BAD_PARAMETERS_RU = (2, "Ошибка в массиве параметров")
FOUND = (0, "The mailbox list was successfully retrieved for: alice")


# Entrances and bodies


@ON_SQLITE
def test_both_entrances_and_both_encodings_do_the_same(client: FlaskClient) -> None:
    """Checklist 1."""
    replies = set()
    for encoded in (urlencoded, multipart):
        for path, naming in (
            ("/api/api.php", [("module", "mailclient"), ("subdo", "addmail")]),
            ("/api/api.php", [("mailclient", "1"), ("addmail", "1")]),
            ("/mailclient/addmail", []),
            ("/mailclient", [("subdo", "addmail")]),
            ("/mailclient/", [("addmail", "")]),
        ):
            response = client.post(path, **encoded([*CREDENTIALS, *naming, *BOX, EN]))
            replies.add((response.status_code, response.headers["Content-Type"], response.text))
            assert Panel(client).says("delmail", email="new@example.com")[0] == 0
    ((status, _, text),) = replies
    assert status == 200
    assert "Mailbox added successfully: new@example.com" in text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"login": "alice", "pass": "Panel-1"}'),
        ("application/json", b"login=alice&pass=Panel-1"),
        ("text/plain", b"login=alice&pass=Panel-1"),
        ("application/x-url-encoded", b"login=alice&pass=Panel-1"),
        ("multipart/mixed; boundary=limit", multipart(CREDENTIALS)["data"]),
        ("multipart/form-data", multipart(CREDENTIALS)["data"]),
        ("", b"login=alice&pass=Panel-1"),
    ],
)
def test_any_other_body_carries_no_fields(in_vain: Panel, content_type: str, body: bytes) -> None:
    named = "/mailclient/getlistmail?language=en"
    assert says(in_vain.client.post(named, data=body, content_type=content_type)) == NO_RIGHTS
    with_query = f"{named}&{urlencode(CREDENTIALS)}"
    assert says(in_vain.client.post(with_query, data=body, content_type=content_type)) == FOUND


@pytest.mark.parametrize(
    "content_type", [URLENCODED.upper(), f"{URLENCODED}; charset=windows-1251", f" {URLENCODED} ;"]
)
def test_the_body_is_utf8_whatever_else_its_type_says(in_vain: Panel, content_type: str) -> None:
    body = urlencode([*CREDENTIALS, ("panel_user", "Юзер"), EN])
    refused = in_vain.client.post("/mailclient/getlistmail", data=body, content_type=content_type)
    assert says(refused) == (1000, "You do not have administrator rights")


def test_a_file_is_no_field(in_vain: Panel) -> None:
    body = multipart([*CREDENTIALS, EN, ("email", "old@example.com")])["data"]
    body = body.replace(b'name="email"', b'name="email"; filename="email.txt"')
    response = in_vain.client.post("/mailclient/delmail", data=body, content_type="multipart/form-data; boundary=limit")
    assert says(response) == BAD_PARAMETERS


def test_a_field_of_the_body_hides_the_query_field_of_its_name(in_vain: Panel) -> None:
    def call(query: str, *fields: Pair) -> tuple[int, str]:
        return says(form(in_vain.client, [*CREDENTIALS, *fields], f"/mailclient?{query}"))

    assert call("panel_user=bob&language=en&getlistmail=1")[0] == 1000
    assert call("PANEL_USER=bob&language=en&getlistmail=1", ("panel_user", "")) == FOUND
    assert call("panel_user=bob&Language=ru&subdo=addmail", EN, ("subdo", "getlistmail"), ("Panel_User", "")) == FOUND
    assert call("email=new%40example.com&subdo=delmail", ("email", "bad"), EN) == BAD_PARAMETERS


def test_names_of_fields_in_any_case(in_vain: Panel) -> None:
    fields = [("LOGIN", "alice"), ("PaSs", ALICE_SECRET), ("MailClient", ""), ("GetListMail", ""), ("LANGUAGE", "en")]
    assert says(form(in_vain.client, fields)) == FOUND
    assert says(form(in_vain.client, [*fields[:2], ("Module", "x"), ("SUBDO", "getlistmail"), EN])) == WRONG_COMMAND


def test_a_repeated_field_counts_with_its_last_value(in_vain: Panel) -> None:
    repeated = [("login", "bob"), ("pass", "x"), ("module", "x"), ("subdo", "y"), ("language", "ru")]
    last = [("Login", "alice"), ("PASS", ALICE_SECRET), ("module", "mailclient"), ("SubDo", "delmail"), EN]
    fields = [*repeated, ("email", "old@example.com"), *last, ("EMAIL", "new@example.com")]
    gone = (1, "Error deleting mailbox: no such mailbox: new@example.com")
    assert says(form(in_vain.client, fields)) == gone


def test_unknown_fields_are_ignored(in_vain: Panel) -> None:
    unknown = [("email[]", "old@example.com"), ("email[0]", "old@example.com"), ("", "x"), ("пол", "\0"), ("x", "|")]
    assert in_vain.says("delmail", **dict(unknown)) == BAD_PARAMETERS
    assert says(in_vain.send([("getlistmail", "1"), EN, *unknown])) == FOUND


# Methods


def all_fields(operation: str) -> list[Pair]:
    """Everything that the operation could want, for a call that would succeed by POST."""
    of_forward = [("source", "s@example.com"), ("target", "t@b.example")]
    return [*CREDENTIALS, ("module", "mailclient"), (operation, "1"), *BOX, *of_forward, ("domain", "example.com"), EN]


@pytest.mark.parametrize("operation", WRITING)
def test_no_writing_by_get(in_vain: Panel, operation: str) -> None:
    """Checklist 9: 405 with ``Allow: POST``, for all eight alike."""
    for path in ("/api/api.php", f"/mailclient/{operation}"):
        response = in_vain.client.get(path, query_string=all_fields(operation))
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert says(response) == BAD_PARAMETERS
        by_head = in_vain.client.head(path, query_string=all_fields(operation))
        assert (by_head.status_code, by_head.headers["Allow"], by_head.data) == (405, "POST", b"")


@ON_SQLITE
def test_the_lists_may_be_asked_for_by_get(client: FlaskClient) -> None:
    """Checklist 9; HEAD is GET without a body."""
    Panel(client).post("addforward", source="s@example.com", target="t@b.example")
    for operation in LISTS:
        by_post = form(client, all_fields(operation))
        by_get = client.get("/api/api.php", query_string=all_fields(operation))
        by_head = client.head(f"/mailclient/{operation}", query_string=all_fields(operation))
        assert parsed(by_get) == parsed(by_post)
        assert parsed(by_get)["error"] == 0
        assert (by_head.status_code, by_head.data) == (200, b"")
        for header in ("Content-Type", "Content-Length", "Cache-Control"):
            assert by_head.headers[header] == by_get.headers[header]


def test_the_probe_by_head(in_vain: Panel) -> None:
    response = in_vain.client.head("/api/api.php", query_string=CREDENTIALS)
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/api/api.php", "/mailclient", "/mailclient/", "/mailclient/delmail", "/mailclient/x"]
)
def test_other_methods(in_vain: Panel, method: str, path: str) -> None:
    """Checklist 21: refused before anybody is asked who he is."""
    good = urlencoded([*CREDENTIALS, ("subdo", "delmail"), ("email", "old@example.com")])
    for body in ({}, good):
        response = in_vain.client.open(path, method=method, **body)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET, POST")
        assert says(response) == BAD_PARAMETERS_RU


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_the_language_governs_the_refusal_of_other_methods(in_vain: Panel, method: str) -> None:
    """Section 3: it also governs 405 replies."""
    assert says(in_vain.client.open("/mailclient/addmail?language=en", method=method)) == BAD_PARAMETERS
    assert says(in_vain.client.open("/api/api.php", method=method, **urlencoded([EN]))) == BAD_PARAMETERS
    assert says(in_vain.client.open("/api/api.php?language=xx", method=method)) == BAD_PARAMETERS_RU


def padded(size: int, fields: list[Pair], multi: bool) -> dict[str, Any]:
    """A body of exactly ``size`` bytes with these fields."""
    encoded = multipart if multi else urlencoded
    empty = len(encoded([*fields, ("padding", "")])["data"])
    return encoded([*fields, ("padding", "x" * (size - empty))])


@pytest.mark.parametrize("multi", [False, True])
def test_a_body_may_have_a_mebibyte(in_vain: Panel, multi: bool) -> None:
    """Checklist 21: over it 413 in JSON, in Russian, before anybody is asked who he is."""
    fields = [*CREDENTIALS, ("getlistmail", "1"), EN]
    fits = padded(bodies.BYTES, fields, multi)
    assert len(fits["data"]) == 1024 * 1024
    assert says(in_vain.client.post("/mailclient", **fits)) == FOUND
    for too_long in (padded(bodies.BYTES + 1, fields, multi), padded(3 * bodies.BYTES, [EN], multi)):
        for path in ("/mailclient", "/api/api.php?language=en"):
            response = in_vain.client.post(path, **too_long)
            assert response.status_code == 413
            assert says(response) == BAD_PARAMETERS_RU


@pytest.mark.parametrize("content_type", [URLENCODED, "multipart/form-data; boundary=limit", "text/plain", ""])
@pytest.mark.parametrize("announced", [True, False])
def test_no_other_body_may_be_longer(in_vain: Panel, content_type: str, announced: bool) -> None:
    """Checklist 21: whatever its type, with a length that was announced or not."""
    length = {"content_length": bodies.BYTES + 1} if announced else {}
    chunked = {} if announced else {"environ_overrides": {"wsgi.input_terminated": True}}
    response = in_vain.client.post(
        "/mailclient",
        input_stream=io.BytesIO(b"x" * (bodies.BYTES + 1)),
        content_type=content_type,
        **length,
        **chunked,
    )
    assert response.status_code == 413
    assert says(response) == BAD_PARAMETERS_RU


@ON_SQLITE
@pytest.mark.parametrize("encoded", [urlencoded, multipart])
def test_half_a_body_is_not_carried_out(
    client: FlaskClient, ports: Ports, encoded: Callable[[Sequence[Pair]], dict[str, Any]]
) -> None:
    """It may look like a whole form with other values. Some servers end the stream, others leave that to the length."""
    sent = encoded([*CREDENTIALS, ("addmail", "1"), *BOX])
    for ended in (True, False):
        announced = {"CONTENT_LENGTH": str(len(sent["data"]) + 5), "wsgi.input_terminated": ended}
        response = client.post("/mailclient", environ_overrides=announced, **sent)
        assert (response.status_code, says(response)) == (400, BAD_PARAMETERS_RU)
    assert mailboxes(ports) == ["old@example.com"]


def test_paths_beside_the_entrances_are_nobodys(in_vain: Panel) -> None:
    for path in ("/api", "/api/api.phpx", "/mailclientx", "/", "/api/"):
        response = in_vain.client.post(path, data=dict(CREDENTIALS))
        assert (response.status_code, response.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


# Module and operation

NAMED: list[tuple[str, list[Pair], tuple[int, str]]] = [
    ("/api/api.php", [("module", "mailclient"), ("subdo", "getlistmail")], FOUND),
    ("/api/api.php", [("module", " MailClient "), ("subdo", "\tGetListMail ")], FOUND),
    ("/api/api.php", [("mailclient", ""), ("getlistmail", "")], FOUND),
    ("/api/api.php", [("mailclient", "0"), ("getlistmail", "0")], FOUND),
    ("/api/api.php", [("MAILCLIENT", "x"), ("subdo", ""), ("getLISTmail", "x")], FOUND),
    ("/api/api.php", [("module", ""), ("mailclient", "1"), ("subdo", "getlistmail")], FOUND),
    ("/mailclient", [("subdo", "getlistmail")], FOUND),
    ("/mailclient/", [("getlistmail", "1")], FOUND),
    ("/mailclient/getlistmail", [], FOUND),
    ("/mailclient/GETLISTMAIL", [], FOUND),
    ("/mailclient/%20GetListMail%20", [], FOUND),
    ("/mailclient/getlistmail", [("module", "mailclient"), ("subdo", "GetListMail"), ("getlistmail", "1")], FOUND),
    # The module is missing.
    ("/api/api.php", [("subdo", "getlistmail")], BAD_PARAMETERS),
    ("/api/api.php", [("module", ""), ("getforwardmail", "1")], BAD_PARAMETERS),
    ("/api/api.php", [("module", "  "), ("getforwardmail", "1")], BAD_PARAMETERS),
    # Another module, whatever else names ours.
    ("/api/api.php", [("module", "hostacc"), ("subdo", "getlistmail")], WRONG_COMMAND),
    ("/api/api.php", [("module", "hostacc"), ("mailclient", "1"), ("getlistmail", "1")], WRONG_COMMAND),
    ("/mailclient/getlistmail", [("module", "hostacc")], WRONG_COMMAND),
    ("/api/api.php", [("module", "hostacc")], WRONG_COMMAND),
    ("/api/api.php", [("module", "mail client")], WRONG_COMMAND),
    # An unknown operation.
    ("/api/api.php", [("module", "mailclient"), ("subdo", "listuseracc")], WRONG_COMMAND),
    ("/api/api.php", [("module", "mailclient"), ("subdo", "get listmail")], WRONG_COMMAND),
    ("/api/api.php", [("subdo", "x")], WRONG_COMMAND),
    ("/mailclient/x", [], WRONG_COMMAND),
    ("/mailclient/mailclient", [], WRONG_COMMAND),
    ("/mailclient/ящик", [], WRONG_COMMAND),
    # Two of them, one of which may be unknown.
    ("/mailclient/getlistmail", [("subdo", "x")], WRONG_COMMAND),
    ("/mailclient/x", [("subdo", "getlistmail")], WRONG_COMMAND),
    ("/mailclient/x", [("getlistmail", "")], WRONG_COMMAND),
    ("/mailclient", [("subdo", "x"), ("getlistmail", "")], WRONG_COMMAND),
    ("/mailclient", [("getlistmail", ""), ("getforwardmail", "")], WRONG_COMMAND),
]


@pytest.mark.parametrize(("path", "fields", "expected"), NAMED)
def test_naming_module_and_operation(in_vain: Panel, path: str, fields: list[Pair], expected: tuple[int, str]) -> None:
    """Checklist 8."""
    assert says(form(in_vain.client, [*CREDENTIALS, *fields, EN], path)) == expected


@pytest.mark.parametrize(("language", "text"), [("en", "Wrong command"), ("ru", "Неверная команда")])
def test_two_operations_are_none(in_vain: Panel, language: str, text: str) -> None:
    """Checklist 8: by any two of the three means, nothing is done."""
    for first, second in combinations(OPERATIONS, 2):
        fields = [*all_fields(first), ("language", language)]
        for path, more in (
            ("/api/api.php", (second, "")),
            ("/mailclient", ("subdo", second)),
            (f"/mailclient/{second}", EN),
        ):
            sent = [*fields, more, ("language", language)]
            assert says(form(in_vain.client, sent, path)) == (1002, text)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_without_its_module(in_vain: Panel, operation: str) -> None:
    """Checklist 8: a parameter error, which is 2, for the SPF/DKIM four 1."""
    code = 1 if operation in SWITCHES else 2
    for named in ((operation, "1"), ("subdo", operation)):
        fields = [*CREDENTIALS, named, *BOX, ("source", "s@example.com"), ("target", "t@b.example"), EN]
        response = form(in_vain.client, [*fields, ("domain", "example.com")])
        assert (says(response), response.status_code) == ((code, "Error in the parameter array"), 200)


# Acting user


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("field", ["panel_user", "user_edit", "Panel_User"])
def test_a_user_acts_for_himself_only(in_vain: Panel, operation: str, field: str) -> None:
    """Checklist 10: another name is 1000, whether there is such a user or not."""
    text = "You do not have administrator rights" if operation in LISTS else NO_RIGHTS[1]
    for other in ("bob", "root", "nobody", "Alice", "alice ", "bob\0", "|"):
        assert in_vain.says(operation, **{field: other}) == (1000, text)
    myself = in_vain.says(operation, **{field: "alice"})
    assert myself[0] == {"getlistmail": 0, "getforwardmail": 1}.get(operation, 1 if operation in SWITCHES else 2)
    assert in_vain.says(operation, **{field: ""}) == myself == in_vain.says(operation)


def test_panel_user_wins_over_its_other_name(in_vain: Panel) -> None:
    assert in_vain.says("getlistmail", panel_user="alice", user_edit="bob") == FOUND
    assert in_vain.says("getlistmail", panel_user="bob", user_edit="alice")[0] == 1000
    assert in_vain.says("getlistmail", panel_user="", user_edit="bob")[0] == 1000


def test_root_acts_for_users_that_there_are(root: Panel, ports: Ports) -> None:
    """Checklist 10: 1001 for an unknown user; one who is not active may be named."""
    users.disable(ports, act(), name="bob")
    for operation in OPERATIONS:
        known = {"getlistmail": 1, "getforwardmail": 1}.get(operation, 1 if operation in SWITCHES else 2)
        for field in ("panel_user", "user_edit"):
            assert root.says(operation, **{field: "bob"})[0] == known
            for nobody in ("nobody", "Bob", " bob", "bob\0"):
                assert root.says(operation, **{field: nobody})[0] == 1001


def test_root_acting_for_somebody_has_his_scope(root: Panel, ports: Ports) -> None:
    """Checklist 10."""
    for user, code in (("alice", 4), ("bob", 0), ("root", 1), ("", 1)):
        sent = dict([*BOX, ("email", "box@bob.test"), ("panel_user", user)])
        assert root.says("addmail", **sent)[0] == code, user
    assert mailboxes(ports) == ["box@bob.test", "old@example.com"]


# Language

ENGLISH = ["en", "EN", " en ", "eN"]
RUSSIAN = [None, "", "ru", "RU", " Ru ", "xx", "english", "en-US", "en\0", "де"]


@pytest.mark.parametrize("language", [*ENGLISH, *RUSSIAN])
def test_languages(in_vain: Panel, language: str | None) -> None:
    """Checklist 11: Russian unless English was asked for, in raw UTF-8."""
    fields = [("language", language)] if language is not None else []
    english = language in ENGLISH
    for sent, en, ru in (
        ([("subdo", "getlistmail")], FOUND[1], "Список почтовых ящиков был успешно получен для: alice"),
        ([("subdo", "addmail")], BAD_PARAMETERS[1], BAD_PARAMETERS_RU[1]),
        ([("subdo", "x")], "Wrong command", "Неверная команда"),
    ):
        response = in_vain.send([*sent, *fields])
        assert parsed(response)["mess"] == (en if english else ru)
        assert (en if english else ru).encode() in response.data
        by_get = in_vain.client.get("/mailclient", query_string=[*CREDENTIALS, *sent, *fields])
        assert parsed(by_get)["mess"] == (en if english else ru)
    nobody = form(in_vain.client, fields, "/mailclient/addmail")
    assert (says(nobody) == NO_RIGHTS) is english


# The order of checks: whatever stands further down in this list is found later, so that the first of any two answers.

WRONGS: list[tuple[str, list[Pair], int]] = [
    ("credentials", [("pass", "wrong")], 1000),
    ("operation", [("subdo", "unknown")], 1002),
    ("module", [("module", "")], 2),
    ("acting user", [("panel_user", "bob")], 1000),
    ("parameters", [("quota", "-1")], 2),
    ("ownership", [("email", "box@bob.test")], 4),
    ("state", [("email", "old@example.com")], 1),
]


@ON_SQLITE
def test_the_first_check_that_fails_answers(client: FlaskClient, bob: Panel, ports: Ports) -> None:
    assert bob.says("addmail", email="box@bob.test", password="Box-1", quota="0")[0] == 0
    before = everything(ports)
    good = {"login": "alice", "pass": ALICE_SECRET, "module": "mailclient", "subdo": "addmail", **dict(BOX)}
    for number, (what, wrong, code) in enumerate(WRONGS):
        for later, (_, more, _) in enumerate(WRONGS[number:], number):
            fields = good | dict(more) | dict(wrong)
            address = {"REMOTE_ADDR": f"192.0.2.{10 * number + later}"}
            response = form(client, list(fields.items()), environ_overrides=address)
            assert says(response)[0] == code, (what, more)
    assert everything(ports) == before


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([("pass", "wrong"), ("subdo", "addmail")], 200, 1000),
        ([("subdo", "unknown")], 200, 1002),
        ([("subdo", "addmail"), ("delmail", "1")], 200, 1002),
        ([("subdo", "addmail"), ("module", "x")], 200, 1002),
        ([("subdo", "addmail"), ("module", "")], 405, 2),
        ([("subdo", "onspf"), ("module", "")], 405, 2),
        ([("subdo", "addmail"), ("panel_user", "bob")], 405, 2),
        ([("subdo", "getlistmail"), ("module", "")], 200, 2),
    ],
)
def test_where_get_stands_in_the_order(in_vain: Panel, fields: list[Pair], status: int, code: int) -> None:
    query = dict([*CREDENTIALS, ("module", "mailclient"), *fields])
    response = in_vain.client.get("/api/api.php", query_string=query)
    assert (response.status_code, says(response)[0]) == (status, code)
