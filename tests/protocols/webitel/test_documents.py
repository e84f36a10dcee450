"""The document: what is kept, what is refused, how it is named (acceptance lines 7 to 11)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mailsvc.services.ports import Ports
from tests.protocols.webitel.web_client import (
    BAD_PARAMETERS,
    ON_SQLITE,
    SETTINGS,
    SMTP,
    WebClient,
    error,
    signed_in,
)

FALSE = [None, False, 0, -0.0, 0.0, ""]
TRUE = [{}, [], True, "x", "0", " ", 5, -1, 0.5, "weird", {"a": 0}, [0], "false"]

NEVER_KEPT = ("_id", "x_key", "access_token")


def rows(ports: Ports, statement: str) -> list[tuple[Any, ...]]:
    with ports.store.reading() as unit:
        return [tuple(row) for row in unit.execute(text(statement))]


# What is refused


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_truth_is_javascripts(alice: WebClient) -> None:
    assert alice.call("POST", SETTINGS, SMTP)[0] == 200
    for method in ("POST", "PUT"):
        for name in ("provider", "options"):
            for false in FALSE:
                assert alice.call(method, SETTINGS, {**SMTP, name: false}) == BAD_PARAMETERS, (method, name, false)
            left_out = {other: value for other, value in SMTP.items() if other != name}
            assert alice.call(method, SETTINGS, left_out) == BAD_PARAMETERS
            for value in TRUE:
                status, stored = alice.call(method, SETTINGS, {**SMTP, name: value})
                assert (status, json.dumps(stored[name])) == (200, json.dumps(value)), (method, name)
        for raw in (b"-0", b"0.0", b"0e5", b"-0.0"):
            assert alice.call(method, SETTINGS, b'{"provider":"smtp","options":%b}' % raw) == BAD_PARAMETERS


@pytest.mark.parametrize("body", [b"[]", b'[{"provider":"smtp","options":{}}]', b""])
def test_what_has_no_members_is_refused(alice: WebClient, body: bytes) -> None:
    for method in ("POST", "PUT"):
        assert alice.call(method, SETTINGS, body) == BAD_PARAMETERS


# What is kept

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
DOCUMENTS = st.builds(
    lambda members, provider, options, order: dict(
        sorted({**members, "provider": provider, "options": options}.items(), key=lambda pair: order.random())
    ),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), JSON, max_size=6),
    st.sampled_from(["smtp", "weird", [], 5]),
    st.sampled_from([{}, True, {"host": "smtp.example", "port": 587}]) | JSON.filter(bool),
    st.randoms(use_true_random=False),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=DOCUMENTS)
def test_any_document_comes_back_exactly_as_sent(shared_alice: WebClient, document: dict[str, Any]) -> None:
    expected = {name: value for name, value in document.items() if name not in NEVER_KEPT}
    expected["domain"] = "d1.example"
    sent = {name: value for name, value in document.items() if name not in NEVER_KEPT}
    status, stored = shared_alice.call("POST", SETTINGS, sent)
    assert status == 200, stored
    shown = json.dumps({"_id": stored["_id"], **expected})
    assert json.dumps(stored) == shown
    assert json.dumps(shared_alice.call("GET")[1]) == shown
    # An idle write changes nothing: what was read is written, its name included.
    assert json.dumps(shared_alice.call("PUT", SETTINGS, stored)[1]) == shown
    assert json.dumps(shared_alice.call("GET")[1]) == shown


def test_values_and_order_stay(alice: WebClient) -> None:
    body = (
        '{"z":"25","domain":"other.example","provider":"smtp","a":{"y":1,"x":[false,null,"\u00e9 \u4e2d \\u0000"]},'
        '"options":{"port":"465","secure":"false"},"big":12345678901234567890123,"half":0.5,"from":""}'
    )
    response = alice.send("POST", SETTINGS, body.encode())
    shown = body.replace("other.example", "d1.example")
    assert response.text == f'{{"_id":"{response.get_json()["_id"]}",{shown[1:]}'
    assert alice.send("GET").text == response.text
    assert "\\u4e2d" not in response.text


def test_repeated_names_count_with_the_last_value_at_the_first_place(alice: WebClient) -> None:
    stored = alice.send("POST", SETTINGS, b'{"a":1,"provider":"smtp","options":{"p":1,"q":2,"p":3},"a":2}').text
    assert stored.endswith('"a":2,"provider":"smtp","options":{"p":3,"q":2},"domain":"d1.example"}')


# Its name


def test_the_name_stays_until_the_document_goes(alice: WebClient) -> None:
    names = [alice.call(method, SETTINGS, SMTP)[1]["_id"] for method in ("POST", "PUT", "POST")]
    assert len(set(names)) == 1
    alice.call("DELETE")
    assert alice.call("POST", SETTINGS, SMTP)[1]["_id"] not in names


def test_a_name_that_is_sent(alice: WebClient) -> None:
    first = alice.call("POST", SETTINGS, {**SMTP, "_id": "566999b271e0c652ea5da98e"})[1]
    assert first["_id"] != "566999b271e0c652ea5da98e"
    for same in (first["_id"], None):
        assert alice.call("PUT", SETTINGS, {**SMTP, "_id": same}) == (200, first)
    others = [("x", "x"), (5, "5"), ([1, "a"], '[1,"a"]'), ("", ""), (False, "false"), ("y" * 70, "y" * 64)]
    for method in ("POST", "PUT"):
        for sent, shown in others:
            info = f"The _id field cannot be changed from {{_id: ObjectId('{first['_id']}')}} to {{_id: \"{shown}\"}}."
            refused = alice.call(method, SETTINGS, {"provider": "other", "options": 1, "_id": sent})
            assert refused == (500, error(info, 66))
    assert alice.call("GET") == (200, first)
    alice.call("DELETE")
    assert alice.call("PUT", SETTINGS, {**SMTP, "_id": "x"}) == (404, error("Not found."))


# Replacing


def test_both_writes_replace_the_whole(alice: WebClient, ports: Ports) -> None:
    for method in ("POST", "PUT"):
        alice.call("POST", SETTINGS, {**SMTP, "extra": 1, "options": {"a": 1, "b": 2}})
        stored = alice.call(method, SETTINGS, {**SMTP, "options": {"b": 3}})[1]
        assert list(stored) == ["_id", "provider", "options", "domain"]
        assert stored["options"] == {"b": 3}
    assert rows(ports, "SELECT count(*) FROM settings_document") == [(1,)]


def test_fifty_at_once_leave_one(app: Flask, alice: WebClient, ports: Ports) -> None:
    def post(number: int) -> tuple[int, Any]:
        return WebClient(app.test_client(), alice.headers).call("POST", SETTINGS, {**SMTP, "number": number})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(post, range(50)))
    assert {status for status, _ in replies} == {200}
    assert len({stored["_id"] for _, stored in replies}) == 1
    assert rows(ports, "SELECT count(*) FROM settings_document") == [(1,)]
    assert alice.call("GET") in replies


# At rest


@ON_SQLITE
def test_nothing_of_it_lies_in_clear(alice: WebClient, ports: Ports) -> None:
    secret, other = "Canary-Pass-1", "Canary-Other-2"
    document = {
        "provider": "smtp", "from": "n@d1.example", "other": other,
        "options": {"host": "smtp.d1.example", "auth": {"user": "n@d1.example", "pass": secret}},
    }  # fmt: skip
    for method in ("POST", "PUT", "GET"):
        assert alice.call(method, SETTINGS, document)[1]["options"]["auth"]["pass"] == secret
    assert rows(ports, "SELECT host, username, password IS NOT NULL FROM smtp_profile") == [
        ("smtp.d1.example", "n@d1.example", 1)
    ]
    ports.store.close()
    for path in ports.settings.data_dir.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert secret.encode() not in content and other.encode() not in content, path
    assert "anary" not in repr(rows(ports, "SELECT * FROM audit_entry"))


def test_a_value_of_another_domain_does_not_open(carol: WebClient, ports: Ports) -> None:
    for name in ("c1.example", "c2.example"):
        carol.call("POST", f"{SETTINGS}?domain={name}", SMTP)
    with ports.store.writing() as unit:
        unit.execute(
            text(
                "UPDATE settings_document SET content = (SELECT s.content FROM settings_document s JOIN domain d"
                " ON d.id = s.domain_id WHERE d.name = 'c1.example')"
            )
        )
    assert carol.call("GET", f"{SETTINGS}?domain=c1.example")[0] == 200
    unreadable = (500, error("Settings cannot be read."))
    assert carol.call("GET", f"{SETTINGS}?domain=c2.example") == unreadable
    assert carol.call("POST", f"{SETTINGS}/test/a@b.example?domain=c2.example") == unreadable
    # It can still be replaced, and removed.
    assert carol.call("PUT", f"{SETTINGS}?domain=c2.example", SMTP)[0] == 200
    assert carol.call("GET", f"{SETTINGS}?domain=c2.example")[0] == 200


def test_without_the_key_file_the_caller_is_told(alice: WebClient, ports: Ports) -> None:
    alice.call("POST", SETTINGS, SMTP)
    ports.settings.key_file.unlink()
    assert alice.call("GET") == (500, error("Settings cannot be read."))
    assert alice.call("PUT", SETTINGS, SMTP) == (500, error("Internal error."))
    assert alice.call("DELETE") == (200, {"status": "OK", "Info": "Removed 1 record."})


# The trail


def test_what_writes_leaves_an_entry(alice: WebClient, carol: WebClient, ports: Ports) -> None:
    alice.call("GET")
    alice.call("PUT", SETTINGS, SMTP)
    alice.call("POST", SETTINGS, SMTP)
    alice.call("POST", SETTINGS, {})
    alice.call("PUT", SETTINGS, {**SMTP, "_id": "Canary"})
    alice.call("POST", f"{SETTINGS}/test", {})
    alice.call("DELETE")
    carol.call("DELETE", f"{SETTINGS}?domain=D1.example")
    carol.call("DELETE", f"{SETTINGS}?domain=Canary 1")
    carol.call("DELETE")
    entries = "SELECT caller, operation, object, outcome, code FROM audit_entry WHERE dialect = 'webitel' ORDER BY id"
    assert rows(ports, entries) == [
        ("alice", "settings put", "d1.example", "NothingStored", 404),
        ("alice", "settings post", "d1.example", "done", 200),
        ("alice", "settings post", "d1.example", "BadInput", 400),
        ("alice", "settings put", "d1.example", "GivenByServer", 500),
        ("alice", "settings test", "d1.example", "CannotSend", 500),
        ("alice", "settings delete", "d1.example", "done", 200),
        ("carol", "settings delete", "d1.example", "NotYours", 403),
        ("carol", "settings delete", "", "NotYours", 403),
        ("carol", "settings delete", "", "BadInput", 400),
    ]


def test_a_client_that_signs_in_again_finds_the_same(app: Flask, alice: WebClient) -> None:
    stored = alice.call("POST", SETTINGS, SMTP)
    assert signed_in(app.test_client()).call("GET") == stored
