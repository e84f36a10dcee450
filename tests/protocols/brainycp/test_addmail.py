"""addmail: what becomes a mailbox, and who is refused why."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mailsvc.services import domains
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, BOB_SECRET, act
from tests.protocols.brainycp.panel import (
    BAD_PARAMETERS,
    ON_SQLITE,
    URLENCODED,
    Pair,
    Panel,
    multipart,
    says,
    urlencoded,
)
from tests.protocols.brainycp.stored import change, everything, forwards, mailboxes, opens, rows

GOOD = {"email": "info@example.com", "password": "Box-1", "quota": "1024"}


def added(address: str) -> tuple[int, str]:
    return 0, f"Mailbox added successfully: {address}"


def no_domain(address: str) -> tuple[int, str]:
    return 4, f"The specified domain in the mailbox was not found in the system: {address}"


def test_a_new_mailbox_is_enabled_and_visible_to_the_mail_servers_at_once(alice: Panel, ports: Ports) -> None:
    assert alice.says("addmail", **GOOD) == added("info@example.com")
    seen = rows(ports, "SELECT enabled, quota_bytes FROM dovecot_user WHERE address = 'info@example.com'")
    assert seen == [(1, 1024 * 1024 * 1024)]
    assert rows(ports, "SELECT 1 FROM postfix_mailbox WHERE address = 'info@example.com'")
    assert opens(ports, "info@example.com", "Box-1")
    assert rows(ports, "SELECT mailbox_count FROM panel_user WHERE name = 'alice'") == [(2,)]


@ON_SQLITE
@pytest.mark.parametrize("encoded", [urlencoded, multipart])
def test_page_keys_the_mailbox_opens_with_the_last_password(
    alice: Panel, ports: Ports, encoded: Callable[[Sequence[Pair]], dict[str, Any]]
) -> None:
    """Checklist 3: and not with the login secret; swapped order fails with 1000."""
    rest = [("username", "alice"), ("mailclient", "1"), ("addmail", "1"), ("quota", "0"), ("email", "info@example.com")]
    swapped = encoded([("password", "Box-1"), *rest, ("password", ALICE_SECRET)])
    assert says(alice.client.post("/api/api.php", **swapped))[0] == 1000
    in_order = encoded([("password", ALICE_SECRET), *rest, ("password", "Box-1")])
    assert says(alice.client.post("/api/api.php", **in_order))[0] == 0
    assert opens(ports, "info@example.com", "Box-1")
    assert not opens(ports, "info@example.com", ALICE_SECRET)


LITERAL = [
    "{SSHA}abc", "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$AAAA", "{PLAIN}x", "$argon2id$", " Box 1 ",
    "x" * 256, "я" * 128, "a&b=c+d%20;e", "'\"\\|`$(id)", "пароль\t1",
]  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize("password", LITERAL)
def test_a_password_is_literal_and_unchanged(alice: Panel, ports: Ports, password: str) -> None:
    """Checklist 14: what looks like a hash is a password like any other, and a fresh hash of it is stored."""
    assert alice.says("addmail", **GOOD | {"password": password})[0] == 0
    assert opens(ports, "info@example.com", password)
    assert not opens(ports, "info@example.com", password[:-1])
    assert not opens(ports, "info@example.com", password + " ")


@pytest.mark.parametrize(
    "changed",
    [
        {"email": None}, {"email": ""}, {"email": " "}, {"email": "example.com"}, {"email": "@example.com"},
        {"email": "a b@example.com"}, {"email": "a@b@example.com"}, {"email": ".a@example.com"},
        {"email": "-a@example.com"}, {"email": "a.@example.com"}, {"email": "a..b@example.com"},
        {"email": "a=b@example.com"}, {"email": "o'brien@example.com"}, {"email": "#a@example.com"},
        {"email": "~a@example.com"}, {"email": "a&b@example.com"}, {"email": "a%b@example.com"},
        {"email": "a!b@example.com"}, {"email": "a/b@example.com"}, {"email": "`id`@example.com"},
        {"email": "|/bin/sh"}, {"email": '"a b"@example.com'}, {"email": "a@[192.0.2.1]"},
        {"email": "a@localhost"}, {"email": "a@-example.com"}, {"email": "a@example.com."},
        {"email": "x" * 65 + "@example.com"}, {"email": "ящик@example.com"}, {"email": "a\0@example.com"},
        {"email": "a\ufffd@example.com"}, {"email": "info@example.com\n"}, {"email": "info@example.com\x85"},
        {"email": "a@" + f"{'b' * 63}." * 3 + "b" * 59 + ".c"},
        {"password": None}, {"password": ""}, {"password": "x" * 257}, {"password": "я" * 128 + "x"},
        {"password": "a\0b"}, {"password": "a\rb"}, {"password": "a\nb"}, {"password": "a\ufffdb"},
        {"quota": None}, {"quota": ""}, {"quota": " "}, {"quota": "-1"}, {"quota": "1.5"}, {"quota": "abc"},
        {"quota": "10M"}, {"quota": "+1"}, {"quota": "1 0"}, {"quota": "0x1"}, {"quota": "٣"}, {"quota": "1\t"},
        {"quota": "2147483648"}, {"quota": "1\ufffd"}, {"quota": "9" * 5000},
    ],
    ids=repr,
)  # fmt: skip
def test_parameter_errors(in_vain: Panel, changed: dict[str, str | None]) -> None:
    """Checklist 12: code 2, as a missing field (None), an empty one, or one of bad form."""
    fields = {name: value for name, value in (GOOD | changed).items() if value is not None}
    assert in_vain.says("addmail", **fields) == BAD_PARAMETERS


def test_bytes_that_are_not_utf8_are_a_parameter_error(in_vain: Panel) -> None:
    body = "login=alice&pass=Panel-1&module=mailclient&subdo=addmail&language=en&email=a%40example.com&quota=0"
    for password in (b"%ff", b"\xff", b"Box%C3"):
        data = body.encode() + b"&password=" + password
        response = in_vain.client.post("/api/api.php", data=data, content_type=URLENCODED)
        assert says(response) == BAD_PARAMETERS


@ON_SQLITE
def test_quotas_and_local_parts_of_every_kind(alice: Panel, ports: Ports) -> None:
    """Checklist 12: ``quota=0`` works."""
    good = {
        "a": "0", "0": "1", "_": " 5 ", "a-": "007", "a.b_c+d-e": "2147483647", "+": "0000000000000", "x" * 64: "1024",
    }  # fmt: skip
    for local, quota in good.items():
        address = f"{local}@example.com"
        assert alice.says("addmail", email=address, password="Box-1", quota=quota) == added(address)
    stored = rows(ports, "SELECT address, quota_mib FROM mailbox WHERE address <> 'old@example.com'")
    assert set(stored) == {(f"{local}@example.com", int(quota)) for local, quota in good.items()}


@ON_SQLITE
def test_an_address_is_stored_in_its_one_form(alice: Panel, ports: Ports) -> None:
    """Checklist 13: lower case, no blanks, A-labels."""
    domains.add(ports, act(), name="xn--80a1acny.xn--p1ai", owner="alice")
    for sent, stored in (
        ("INFO@Example.COM", "info@example.com"),
        ("userbox @ example.com", "userbox@example.com"),
        ("  sales@ example.com ", "sales@example.com"),
        ("Info@почта.рф", "info@xn--80a1acny.xn--p1ai"),
        ("box@ПОЧТА.РФ", "box@xn--80a1acny.xn--p1ai"),
        ("sales@XN--80A1ACNY.xn--p1ai", "sales@xn--80a1acny.xn--p1ai"),
    ):
        assert alice.says("addmail", **GOOD | {"email": sent}) == added(stored)
        assert alice.says("addmail", **GOOD | {"email": sent}) == (1, f"This mailbox already exists: {stored}")
        assert stored in mailboxes(ports)
    assert len(mailboxes(ports)) == 7


def test_a_foreign_or_unknown_domain(alice: Panel, bob: Panel, ports: Ports) -> None:
    """Checklist 12: code 4, the same for a mailbox that exists there."""
    assert bob.says("addmail", **GOOD | {"email": "box@bob.test"}) == added("box@bob.test")
    for address in ("box@bob.test", "new@bob.test", "new@nowhere.test", "new@sub.example.com"):
        assert alice.says("addmail", **GOOD | {"email": address}) == no_domain(address)
    assert mailboxes(ports) == ["box@bob.test", "old@example.com"]


def test_the_longest_address_is_only_in_an_unknown_domain(in_vain: Panel) -> None:
    address = "a@" + f"{'b' * 63}." * 3 + "b" * 58 + ".c"
    assert len(address) == 254
    assert in_vain.says("addmail", **GOOD | {"email": address}) == no_domain(address)


def test_the_owners_limit(alice: Panel, root: Panel, ports: Ports) -> None:
    """Checklist 12: limit reached gives 3 with nothing but the page's text; who exists already is told so."""
    change(ports, "UPDATE panel_user SET mailbox_limit = 2 WHERE name = 'alice'")
    assert alice.says("addmail", **GOOD) == added("info@example.com")
    before = everything(ports)
    full = (3, "An error occurred while adding mailbox: more@example.com")
    for panel in (alice, root):
        assert panel.says("addmail", **GOOD | {"email": "more@example.com"}) == full
        assert panel.says("addmail", **GOOD)[0] == 1
    assert everything(ports) == before
    assert alice.says("delmail", email="info@example.com")[0] == 0
    assert alice.says("addmail", **GOOD | {"email": "more@example.com"}) == added("more@example.com")


@ON_SQLITE
def test_whose_limit_counts(root: Panel, ports: Ports) -> None:
    """The owner's, whoever acts; a limit of nothing allows nothing."""
    change(ports, "UPDATE panel_user SET mailbox_limit = 0 WHERE name IN ('root', 'bob')")
    assert root.says("addmail", **GOOD)[0] == 0
    assert root.says("addmail", **GOOD | {"email": "box@bob.test"})[0] == 3


def test_a_second_mailbox_leaves_the_first_as_it_is(alice: Panel, ports: Ports) -> None:
    assert alice.says("addmail", **GOOD)[0] == 0
    before = everything(ports)
    again = GOOD | {"password": "Box-2", "quota": "1"}
    assert alice.says("addmail", **again) == (1, "This mailbox already exists: info@example.com")
    assert everything(ports) == before


@ON_SQLITE
def test_a_forward_of_the_same_source_is_kept(alice: Panel, ports: Ports) -> None:
    assert alice.says("addforward", source="info@example.com", target="a@b.example")[0] == 0
    assert alice.says("addmail", **GOOD) == added("info@example.com")
    assert forwards(ports) == {"info@example.com": (0, ["a@b.example"])}


@ON_SQLITE
def test_root_adds_to_any_domain_unless_he_acts_for_somebody(root: Panel, ports: Ports) -> None:
    """Checklist 10: root with ``panel_user=alice`` cannot add to bob's domain."""
    box = GOOD | {"email": "box@bob.test"}
    assert root.says("addmail", **box, panel_user="alice") == no_domain("box@bob.test")
    assert root.says("addmail", **box, panel_user="bob") == added("box@bob.test")
    assert root.says("addmail", **GOOD) == added("info@example.com")


def test_fifty_at_once_for_one_address(app: Flask, other_process: FlaskClient, ports: Ports) -> None:
    """Checklist 20: one 0 and 49 times 1, half of them in another process."""
    together = Barrier(50)
    processes = (app, other_process.application)

    def call(number: int) -> int:
        panel = Panel(processes[number % 2].test_client(), "bob", BOB_SECRET)
        together.wait()
        code: int = panel.post("addmail", email="box@bob.test", password=f"Box-{number}", quota="1")["error"]
        return code

    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(call, range(50)))
    assert Counter(codes) == {0: 1, 1: 49}
    assert rows(ports, "SELECT mailbox_count FROM panel_user WHERE name = 'bob'") == [(1,)]
    assert opens(ports, "box@bob.test", f"Box-{codes.index(0)}")


def test_many_at_once_never_pass_the_limit(app: Flask, other_process: FlaskClient, ports: Ports) -> None:
    change(ports, "UPDATE panel_user SET mailbox_limit = 3 WHERE name = 'bob'")
    processes = (app, other_process.application)

    def call(number: int) -> int:
        panel = Panel(processes[number % 2].test_client(), "bob", BOB_SECRET)
        code: int = panel.post("addmail", email=f"box{number}@bob.test", password="Box-1", quota="1")["error"]
        return code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(call, range(8)))
    assert Counter(codes) == {0: 3, 3: 5}
    assert len(mailboxes(ports)) == 4
