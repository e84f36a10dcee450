"""Which domain a call is about: each cell of the contract's table (acceptance lines 6 and 18)."""

import json
from typing import Any

import pytest

from mailsvc.services import domains
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.webitel.web_client import BAD_PARAMETERS, DENIED, SETTINGS, SMTP, TEST, WebClient, error

CALLS = ("GET", "POST", "PUT", "DELETE", "TEST")

A = (400, error("Bad request (domain required)."))
B = BAD_PARAMETERS
C = (400, error("Domain is required."))
E_ = (404, error("Not found!"))
REMOVED_NONE = (200, {"status": "OK", "Info": "Removed 0 record."})

MISSING = {"GET": A, "POST": B, "PUT": B, "DELETE": B, "TEST": C}

NONE_NAMED = (
    "", "?domain=", "?domain=%20", "?domain[]=c1.example", "?domain[$ne]=x", "?domain%5B%5D=c1.example",
    "?domain=c1.example&domain=c1.example", "?domain=c1.example&domain[]=c1.example", "?Domain=c1.example",
)  # fmt: skip


def ask(client: WebClient, call: str, query: str) -> tuple[int, Any]:
    """One call about the domain that ``query`` names."""
    if call == "TEST":
        return client.call("POST", f"{TEST}{query}", {"to": "a@b.example", "domain": "c1.example"})
    body = {**SMTP, "domain": "c1.example"} if call in ("POST", "PUT") else None
    return client.call(call, f"{SETTINGS}{query}", body)


def not_stored(domain: str) -> tuple[int, Any]:
    return 404, error(f"Not settings EMail provider from domain {domain}")


@pytest.mark.parametrize("call", CALLS)
def test_no_domain_is_named(carol: WebClient, root: WebClient, call: str) -> None:
    for query in NONE_NAMED:
        assert ask(carol, call, query) == MISSING[call], query
        assert ask(root, call, query) == MISSING[call], query


@pytest.mark.parametrize("call", CALLS)
def test_a_domain_of_another_is_as_one_that_is_not_there(carol: WebClient, ports: Ports, call: str) -> None:
    for name in ("d1.example", "nowhere.example", "no name", "x", "a%00b", "%ff", "..", "a" * 300):
        assert ask(carol, call, f"?domain={name}") == DENIED, name
    for name in ("c1.example", "c2.example"):
        domains.remove(ports, act(), name=name)
    assert ask(carol, call, "?domain=c1.example") == DENIED
    assert ask(carol, call, "") == MISSING[call]


def test_root_and_a_domain_that_is_not_there(root: WebClient) -> None:
    for name, shown in (("nowhere.example", "nowhere.example"), ("no%20name", "no name"), ("a%00b", "a?b")):
        query = f"?domain={name}"
        assert ask(root, "GET", query) == E_
        assert ask(root, "POST", query) == B
        assert ask(root, "PUT", query) == B
        assert ask(root, "DELETE", query) == REMOVED_NONE
        assert ask(root, "TEST", query) == not_stored(shown)


def test_root_and_a_domain_of_somebody(root: WebClient) -> None:
    query = "?domain=c1.example"
    assert ask(root, "GET", query) == E_
    assert ask(root, "PUT", query) == (404, error("Not found."))
    assert ask(root, "DELETE", query) == REMOVED_NONE
    assert ask(root, "TEST", query) == not_stored("c1.example")
    assert ask(root, "POST", query)[1]["domain"] == "c1.example"
    assert ask(root, "GET", query)[0] == ask(root, "PUT", query)[0] == 200
    assert ask(root, "DELETE", query) == (200, {"status": "OK", "Info": "Removed 1 record."})


def test_whoever_owns_several_works_on_the_one_he_names(carol: WebClient) -> None:
    for name in ("c1.example", "c2.example"):
        assert ask(carol, "POST", f"?domain={name}")[1]["domain"] == name
    assert ask(carol, "DELETE", "?domain=c2.example")[1]["Info"] == "Removed 1 record."
    assert ask(carol, "GET", "?domain=c1.example")[0] == 200
    assert ask(carol, "GET", "?domain=c2.example") == E_
    assert ask(carol, "TEST", "?domain=c2.example") == not_stored("c2.example")


@pytest.mark.parametrize("query", ["", "?domain=c1.example", "?domain=nowhere", "?domain[$ne]=x"])
def test_whoever_owns_one_works_on_it_whatever_he_names(alice: WebClient, root: WebClient, query: str) -> None:
    assert ask(alice, "GET", query) == E_
    assert ask(alice, "PUT", query) == (404, error("Not found."))
    assert ask(alice, "TEST", query) == not_stored("d1.example")
    assert ask(alice, "POST", query)[1]["domain"] == "d1.example"
    assert ask(alice, "GET", query)[1]["domain"] == "d1.example"
    assert ask(alice, "DELETE", query)[1]["Info"] == "Removed 1 record."
    assert ask(root, "GET", "?domain=c1.example") == E_


@pytest.mark.parametrize(
    "spelling", ["C1.Example", "%20c1.example%20", "c1.example.", "%09C1.EXAMPLE.%0a", "%EF%BD%831.example"]
)
def test_one_domain_has_many_spellings(carol: WebClient, spelling: str) -> None:
    assert ask(carol, "POST", f"?domain={spelling}")[1]["domain"] == "c1.example"


def test_a_domain_in_another_script(carol: WebClient, ports: Ports) -> None:
    domains.add(ports, act(), name="xn--80a1acny.xn--p1ai", owner="carol")
    for spelling in ("почта.рф", "ПОЧТА.РФ.", "xn--80a1acny.xn--p1ai"):
        assert ask(carol, "POST", f"?domain={spelling}")[1]["domain"] == "xn--80a1acny.xn--p1ai"


def test_a_second_domain_must_be_named_from_the_next_call_on(alice: WebClient, ports: Ports) -> None:
    assert ask(alice, "POST", "")[0] == 200
    domains.add(ports, act(), name="d2.example", owner="alice")
    assert ask(alice, "GET", "") == A
    assert "domain" not in alice.call("GET", "/api/v2/whoami")[1]
    assert ask(alice, "GET", "?domain=d1.example")[0] == 200
    domains.remove(ports, act(), name="d2.example")
    assert ask(alice, "GET", "")[0] == 200


def test_a_domain_takes_its_document_along(alice: WebClient, carol: WebClient, ports: Ports) -> None:
    document = ask(alice, "POST", "")[1]
    domains.give(ports, act(), name="d1.example", owner="carol")
    assert ask(carol, "GET", "?domain=d1.example") == (200, document)
    domains.remove(ports, act(), name="d1.example")
    domains.add(ports, act(), name="d1.example", owner="carol")
    assert ask(carol, "GET", "?domain=d1.example") == E_
    again = ask(carol, "POST", "?domain=d1.example")[1]
    assert again["_id"] != document["_id"]
    assert json.dumps({**again, "_id": 0}) == json.dumps({**document, "_id": 0})
