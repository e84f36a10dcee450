"""Who is calling, and which password is the mailbox's (contract, section 2)."""

import json
import logging
from collections.abc import Callable, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from argon2 import extract_parameters
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import config
from mailsvc.app import create_app
from mailsvc.core.acts import ROOT
from mailsvc.services import domains, users
from mailsvc.services.ports import Ports
from mailsvc.vault import passwords
from mailsvc.vault.argon2id import Argon2id
from tests.application import ALICE_SECRET, BOB_SECRET, ROOT_SECRET, act
from tests.protocols.brainycp.panel import (
    LISTS,
    NO_RIGHTS,
    ON_SQLITE,
    URLENCODED,
    WRITING,
    Pair,
    Panel,
    basic,
    form,
    multipart,
    says,
    urlencoded,
)
from tests.protocols.brainycp.stored import change, opens, rows

ADDMAIL = [("addmail", "1"), ("email", "new@example.com"), ("quota", "0"), ("language", "en")]
ALICE, WRONG, BOB = basic("alice", ALICE_SECRET), basic("alice", "wrong"), basic("bob", BOB_SECRET)
NONE: dict[str, str] = {}
SECRET, BOX = ("password", ALICE_SECRET), ("password", "Box-1")

SETTLED: list[tuple[str, dict[str, str], list[Pair], str | int]] = [
    # A: Basic, and nobody named in fields. The last column is the password that opens the mailbox, or the code.
    ("A", ALICE, [BOX], "Box-1"),
    ("A, named emptily", ALICE, [("login", ""), ("username", ""), BOX], "Box-1"),
    ("A, every password is the mailbox's", ALICE, [("password", "first"), ("password", "second"), BOX], "Box-1"),
    ("A, pass means nothing", ALICE, [("pass", "wrong"), BOX], "Box-1"),
    ("A, no mailbox password", ALICE, [], 2),
    ("A, empty mailbox password", ALICE, [BOX, ("password", "")], 2),
    ("A, wrong", WRONG, [SECRET, BOX], 1000),
    ("A, the scheme in lower case", {"Authorization": "basic " + ALICE["Authorization"][6:]}, [BOX], "Box-1"),
    # B: Basic, the same user named in fields, and no pass.
    ("B by login", ALICE, [("login", "alice"), BOX], "Box-1"),
    ("B by username", ALICE, [("username", "alice"), BOX], "Box-1"),
    ("B, every password is the mailbox's", ALICE, [("login", "alice"), ("password", "first"), BOX], "Box-1"),
    ("B, the login secret is that of Basic", WRONG, [("login", "alice"), SECRET, BOX], 1000),
    ("B needs no pass at all", WRONG, [("login", "alice"), ("pass", ALICE_SECRET), BOX], "Box-1"),
    ("B needs no pass, empty either", ALICE, [("login", "alice"), ("pass", ""), BOX], 1000),
    # C: anything else. A Basic header belongs to a proxy in front.
    ("C, Basic of another name", BOB, [("login", "alice"), ("pass", ALICE_SECRET), BOX], "Box-1"),
    ("C, Basic of another name, page keys", BOB, [("username", "alice"), SECRET, BOX], "Box-1"),
    ("C, good Basic of another name does not help", BOB, [("username", "alice"), BOX, BOX], 1000),
    ("C, login beats username", NONE, [("username", "bob"), ("login", "alice"), SECRET, BOX], "Box-1"),
    ("C, login beats username, to its harm", NONE, [("login", "bob"), ("username", "alice"), SECRET, BOX], 1000),
    ("C, login decides whether it is B", ALICE, [("login", "bob"), ("username", "alice"), BOX], 1000),
    ("C, pass and one password", NONE, [("login", "alice"), ("pass", ALICE_SECRET), BOX], "Box-1"),
    ("C, pass and two passwords", NONE, [("login", "alice"), ("pass", ALICE_SECRET), SECRET, BOX], "Box-1"),
    ("C, pass and no password", NONE, [("login", "alice"), ("pass", ALICE_SECRET)], 2),
    ("C, empty pass is a pass", NONE, [("login", "alice"), ("pass", ""), SECRET, BOX], 1000),
    ("C, two passwords", NONE, [("username", "alice"), SECRET, BOX], "Box-1"),
    ("C, three passwords", NONE, [("username", "alice"), SECRET, ("password", "between"), BOX], "Box-1"),
    ("C, swapped", NONE, [("username", "alice"), BOX, SECRET], 1000),
    ("C, one password is the login secret only", NONE, [("username", "alice"), SECRET], 2),
    ("C, the same secret twice", NONE, [("username", "alice"), SECRET, SECRET], ALICE_SECRET),
    ("C, order across spellings", NONE, [("username", "alice"), ("PassWord", ALICE_SECRET), BOX], "Box-1"),
    ("C, order across spellings, swapped", NONE, [("username", "alice"), ("PassWord", "Box-1"), SECRET], 1000),
    ("C, empty first password", NONE, [("username", "alice"), ("password", ""), SECRET, BOX], 1000),
    ("C, empty last password", NONE, [("username", "alice"), SECRET, ("password", "")], 2),
    ("C, Bearer", {"Authorization": "Bearer " + ALICE["Authorization"][6:]}, [BOX], 1000),
    ("C, Basic beyond ASCII", {"Authorization": "Basic \xe9"}, [("username", "alice"), SECRET, BOX], "Box-1"),
    ("C, Basic that is not UTF-8", {"Authorization": "Basic /zr/"}, [("username", "alice"), SECRET, BOX], "Box-1"),
    ("C, broken Basic", {"Authorization": "Basic ?"}, [("username", "alice"), SECRET, BOX], "Box-1"),
]  # fmt: skip


@ON_SQLITE
@pytest.mark.parametrize("encoded", [urlencoded, multipart])
def test_which_credentials_and_which_mailbox_password(
    client: FlaskClient, ports: Ports, encoded: Callable[[Sequence[Pair]], dict[str, Any]]
) -> None:
    """Checklist 3, 4 and 5: the cases A, B and C."""
    for case, headers, fields, expected in SETTLED:
        forget_failures(ports)
        # The secrets frame the rest: only their own order counts.
        sent = encoded([("mailclient", "1"), *fields[:-1], *ADDMAIL, *fields[-1:]])
        code, _ = says(client.post("/api/api.php", headers=headers, **sent))
        assert code == (expected if isinstance(expected, int) else 0), case
        if isinstance(expected, str):
            assert opens(ports, "new@example.com", expected), case
            change(ports, "DELETE FROM mailbox WHERE address = 'new@example.com'")


def forget_failures(ports: Ports) -> None:
    change(ports, "DELETE FROM login_failure")
    change(ports, "DELETE FROM login_block")


@ON_SQLITE
@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ("username=alice", "password=Panel-1&password=Box-1", "Box-1"),
        ("username=alice&password=Panel-1", "password=Box-1", 2),
        ("username=alice&password=Box-1", "password=Panel-1", 1000),
        ("username=alice&PASSWORD=Panel-1", "password=Box-1", 2),
        ("username=alice&password=Box-1", "pass=Panel-1", "Box-1"),
        ("password=Panel-1&password=Box-1", "login=alice", "Box-1"),
        ("login=alice&pass=Panel-1&password=Box-1", "login=bob&pass=Panel-2&password=Box-2", "Box-1"),
        ("login=&pass=Panel-1&password=Box-1", "login=alice", 1000),
    ],
)
def test_the_query_counts_for_what_the_body_does_not_have(
    client: FlaskClient, ports: Ports, body: str, query: str, expected: str | int
) -> None:
    rest = "&mailclient=1&addmail=1&email=new%40example.com&quota=0"
    response = client.post(f"/api/api.php?{query}", data=body + rest, content_type=URLENCODED)
    assert says(response)[0] == (expected if isinstance(expected, int) else 0)
    if isinstance(expected, str):
        assert opens(ports, "new@example.com", expected)


@pytest.mark.parametrize(
    ("login", "secret"),
    [("Alice", ALICE_SECRET), ("alice ", ALICE_SECRET), (" alice", ALICE_SECRET), ("alice\0", ALICE_SECRET)]
    + [("alice", secret) for secret in ("panel-1", "Panel-1 ", " Panel-1", "Panel-1\0", "Panel-1\n", "Panel-", "Pa")],
)
def test_names_and_secrets_are_compared_exactly(in_vain: Panel, login: str, secret: str) -> None:
    sent = Panel(in_vain.client, login, secret).send([("subdo", "getlistmail"), ("language", "en")], **elsewhere())
    assert says(sent) == NO_RIGHTS


_addresses = count(1)


def elsewhere() -> dict[str, Any]:
    """A client address that no test has used so far, as an option of a request."""
    number = next(_addresses)
    return {"environ_overrides": {"REMOTE_ADDR": f"198.51.{number // 256}.{number % 256}"}}


@ON_SQLITE
def test_names_and_secrets_of_every_script(client: FlaskClient, ports: Ports) -> None:
    users.add(ports, act(), name="Юзер é", password="пароль: é ☃", role=ROOT)
    fields = [("subdo", "getlistmail"), ("module", "mailclient")]
    by_basic = form(client, fields, headers=basic("Юзер é", "пароль: é ☃"))
    assert says(by_basic)[0] == says(Panel(client, "Юзер é", "пароль: é ☃").send(fields))[0] == 0
    for name, secret in (("Юзер e\u0301", "пароль: é ☃"), ("Юзер é", "пароль: e\u0301 ☃"), ("юзер é", "пароль: é ☃")):
        assert says(form(client, fields, headers=basic(name, secret)))[0] == 1000


@ON_SQLITE
def test_a_secret_is_not_cut_short(client: FlaskClient, ports: Ports) -> None:
    users.change_password(ports, act(), name="alice", password="x" * 256)
    for secret, code in (("x" * 255, 1000), ("x" * 72, 1000), ("x" * 257, 1000), ("x" * 256, 0)):
        assert says(Panel(client, "alice", secret).send([("subdo", "getlistmail")]))[0] == code


BROWSERS = [
    ({"Origin": "http://localhost"}, True),
    ({"Origin": "HTTP://LocalHost"}, True),
    ({"Origin": "http://localhost:80"}, True),
    ({"Origin": "https://localhost"}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Origin": "http://localhost:8080"}, False),
    ({"Origin": "http://evil.test"}, False),
    ({"Origin": "https://localhost.evil.test"}, False),
    ({"Origin": "https://evil.test/localhost"}, False),
    ({"Origin": "http://localhost@evil.test"}, False),
    ({"Origin": "http://[::1"}, False),
    ({"Origin": "http://localhost:99999"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "evil.test"}, False),
    ({"Origin": "file://"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.test"}, False),
]


@pytest.mark.parametrize(("headers", "allowed"), BROWSERS)
def test_basic_from_a_page_of_another_site(in_vain: Panel, headers: dict[str, str], allowed: bool) -> None:
    """Checklist 5: a browser sends Basic credentials along by itself; fields it does not."""
    fields = [("getlistmail", "1"), ("module", "mailclient"), ("language", "en")]
    for named in ([], [("login", "alice")]):
        response = form(in_vain.client, [*named, *fields], headers=ALICE | headers)
        assert says(response) == NO_RIGHTS if not allowed else says(response)[0] == 0
    assert says(in_vain.send(fields, headers=headers))[0] == 0
    assert says(in_vain.send(fields, headers=BOB | headers))[0] == 0


@ON_SQLITE
def test_another_origin_by_the_host_the_client_named(client: FlaskClient) -> None:
    for host, origin, code in (
        ("panel.example:8443", "https://panel.example:8443", 0),
        ("panel.example", "https://panel.example:443", 0),
        ("panel.example:8443", "https://panel.example", 1000),
        ("panel.example", "https://panel.example:8443", 1000),
        ("panel.example", "https://other.example", 1000),
    ):
        response = client.post("/mailclient/getlistmail", headers=ALICE | {"Host": host, "Origin": origin})
        assert says(response)[0] == code, (host, origin)


FAILED: dict[str, list[Pair]] = {
    "wrong secret": [("login", "alice"), ("pass", "wrong")],
    "empty secret": [("login", "alice"), ("pass", "")],
    "no secret": [("login", "alice")],
    "unknown name": [("login", "nobody"), ("pass", ALICE_SECRET)],
    "no name": [("pass", ALICE_SECRET)],
    "empty name": [("login", ""), ("pass", ALICE_SECRET)],
    "nothing": [],
    "a name with NUL": [("login", "alice\0"), ("pass", ALICE_SECRET)],
    "not active": [("login", "bob"), ("pass", BOB_SECRET)],
}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_failure_looks_alike(client: FlaskClient, ports: Ports, language: str) -> None:
    """Checklist 6 and 21: one 1000 body, HTTP 200, no WWW-Authenticate, for every operation and for none."""
    users.disable(ports, act(), name="bob")
    operation = iter([*WRITING, *LISTS, "", "unknown"] * 2)
    seen = set()
    for credentials in FAILED.values():
        fields = [*credentials, ("subdo", next(operation)), ("module", "mailclient"), ("language", language)]
        seen.add(outline(form(client, fields, **elsewhere())))
        seen.add(outline(client.get("/mailclient", query_string=dict(fields), **elsewhere())))
    by_basic = [basic("alice", "wrong"), basic("", ""), basic("nobody", "x"), basic("bob", BOB_SECRET), NONE]
    for headers in by_basic:
        response = client.post("/mailclient/addmail", data={"language": language}, headers=headers, **elsewhere())
        seen.add(outline(response))
    text = {"en": NO_RIGHTS[1], "ru": "У вас нет прав для администрирования этого пользователя"}[language]
    ((status, sent_headers, body),) = seen
    assert (status, json.loads(body)) == (200, {"error": 1000, "mess": text, "code": 1000, "message": text})
    assert "WWW-Authenticate" not in dict(sent_headers)


def outline(response: TestResponse) -> tuple[int, tuple[Pair, ...], str]:
    """All that a caller can compare."""
    headers = tuple((name, value) for name, value in response.headers if name != "X-Request-ID")
    return response.status_code, headers, response.text


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stored hashes that were checked, in order: the work that a sign-in costs."""
    checked: list[str] = []
    verify = Argon2id.verify

    def counted(self: Argon2id, stored: str, password: bytes) -> bool:
        checked.append(stored)
        return verify(self, stored, password)

    monkeypatch.setattr(Argon2id, "verify", counted)
    return checked


@ON_SQLITE
def test_unknown_names_cost_as_much_as_wrong_secrets(
    client: FlaskClient, ports: Ports, verifications: list[str]
) -> None:
    users.disable(ports, act(), name="bob")
    for name, secret in (("alice", "wrong"), ("nobody", "wrong"), ("bob", BOB_SECRET), ("bob", "x"), ("a\0", "x")):
        before = len(verifications)
        assert says(Panel(client, name, secret).send([], **elsewhere()))[0] == 1000
        assert len(verifications) - before == 1, name
    assert len({repr(extract_parameters(stored)) for stored in verifications}) == 1


@ON_SQLITE
def test_a_secret_that_comes_with_every_call_is_hashed_once(alice: Panel, verifications: list[str]) -> None:
    for _ in range(3):
        assert alice.post("getlistmail")["error"] == 0
        assert form(alice.client, [("getlistmail", "1")], "/mailclient", headers=ALICE).status_code == 200
    assert len(verifications) == 1
    wrong = Panel(alice.client, "alice", "wrong")
    for _ in range(2):
        assert says(wrong.send([]))[0] == 1000
    assert len(verifications) == 3


@ON_SQLITE
def test_it_is_hashed_again_after_a_minute(
    alice: Panel, verifications: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 1000.0
    monkeypatch.setattr(passwords, "time", SimpleNamespace(monotonic=lambda: moment))
    for later, checked in ((0.0, 1), (59.0, 1), (61.0, 2), (62.0, 2)):
        moment = 1000.0 + later
        assert alice.post("getlistmail")["error"] == 0
        assert len(verifications) == checked


def test_a_changed_secret_is_refused_at_once_in_every_process(
    alice: Panel, other_process: FlaskClient, ports: Ports
) -> None:
    there = Panel(other_process)
    assert alice.post("getlistmail")["error"] == there.post("getlistmail")["error"] == 0
    users.change_password(ports, act(), name="alice", password="Panel-3")
    assert there.says("getlistmail") == alice.says("getlistmail") == NO_RIGHTS
    for client in (alice.client, other_process):
        assert Panel(client, "alice", "Panel-3").post("getlistmail")["error"] == 0
    users.change_password(ports, act(), name="alice", password=ALICE_SECRET)
    assert there.post("getlistmail")["error"] == 0


def test_a_disabled_user_is_refused_at_once_in_every_process(
    alice: Panel, other_process: FlaskClient, ports: Ports
) -> None:
    there = Panel(other_process)
    assert alice.post("getlistmail")["error"] == there.post("getlistmail")["error"] == 0
    users.disable(ports, act(), name="alice")
    assert there.says("getlistmail") == alice.says("getlistmail") == NO_RIGHTS
    users.enable(ports, act(), name="alice")
    assert there.post("getlistmail")["error"] == alice.post("getlistmail")["error"] == 0


def test_a_removed_user_is_refused_at_once(bob: Panel, ports: Ports) -> None:
    assert bob.post("getlistmail")["error"] == 1
    domains.remove(ports, act(), name="bob.test")
    users.remove(ports, act(), name="bob")
    assert bob.says("getlistmail") == NO_RIGHTS
    users.add(ports, act(), name="bob", password="Panel-4", role="user")
    assert bob.says("getlistmail") == NO_RIGHTS


IN_ENGLISH = [("language", "en")]
WRONG_SECRET = [("login", "alice"), ("pass", "wrong"), *IN_ENGLISH]
RIGHT_SECRET = [("login", "alice"), ("pass", ALICE_SECRET), *IN_ENGLISH]


def fail(client: FlaskClient, times: int) -> None:
    for _ in range(times):
        assert says(form(client, WRONG_SECRET)) == NO_RIGHTS


def gets_in(client: FlaskClient, fields: Sequence[Pair] = RIGHT_SECRET, **options: Any) -> bool:
    """Whether the probe finds the credentials good; a refusal is the usual one."""
    response = form(client, fields, **options)
    if response.data:
        assert says(response) == NO_RIGHTS
    return not response.data


def test_five_failures_block_the_name_from_this_address(client: FlaskClient, verifications: list[str]) -> None:
    assert gets_in(client)
    fail(client, 4)
    assert gets_in(client)
    fail(client, 1)
    before = len(verifications)
    assert not gets_in(client)
    fail(client, 3)
    assert not gets_in(client, IN_ENGLISH, headers=ALICE)
    assert len(verifications) == before, "a blocked attempt is not even looked at"
    assert gets_in(client, **elsewhere())
    assert gets_in(client, [("login", "bob"), ("pass", BOB_SECRET)])


def test_a_block_is_in_the_store_and_survives_a_restart(
    client: FlaskClient, other_process: FlaskClient, settings: config.Settings
) -> None:
    fail(client, 3)
    fail(other_process, 2)
    assert not gets_in(client)
    assert not gets_in(other_process)
    restarted = create_app(settings)
    assert not gets_in(restarted.test_client())
    assert gets_in(restarted.test_client(), **elsewhere())
    restarted.extensions["mailsvc"].store.close()


def earlier(ports: Ports, milliseconds: int) -> None:
    """Let time pass, by making the throttle's rows older."""
    change(ports, "UPDATE login_failure SET at = at - :by", by=milliseconds)
    change(ports, "UPDATE login_block SET until = until - :by", by=milliseconds)


def test_a_block_ends_after_sixty_seconds(client: FlaskClient, ports: Ports) -> None:
    fail(client, 5)
    earlier(ports, 50_000)
    assert not gets_in(client)
    earlier(ports, 10_000)
    assert gets_in(client)
    fail(client, 4)
    assert gets_in(client)


def test_failures_count_for_sixty_seconds(client: FlaskClient, ports: Ports) -> None:
    fail(client, 4)
    earlier(ports, 50_000)
    fail(client, 1)
    assert not gets_in(client)
    forget_failures(ports)
    fail(client, 4)
    earlier(ports, 60_000)
    fail(client, 4)
    assert gets_in(client)


@ON_SQLITE
def test_failures_of_every_kind_count_together(client: FlaskClient) -> None:
    """By fields and by Basic, also of a name that nobody has."""
    for name in ("alice", "nobody"):
        for headers in (basic(name, "x"), basic(name, "")):
            assert not gets_in(client, IN_ENGLISH, headers=headers)
        for fields in ([("pass", "x")], [("password", "x"), ("password", "y")], [("pass", "")]):
            assert not gets_in(client, [("login", name), *fields, ("language", "en")])
    assert not gets_in(client)


@ON_SQLITE
def test_every_failure_is_one_log_line_with_the_address_and_without_the_name(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(6):
        client.post("/mailclient", data=dict(WRONG_SECRET), environ_overrides={"REMOTE_ADDR": "192.0.2.77"})
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["sign-in failed from 192.0.2.77"] * 5 + ["sign-in blocked from 192.0.2.77"]


@ON_SQLITE
def test_the_throttle_does_not_keep_what_was_typed_as_a_name(client: FlaskClient, ports: Ports) -> None:
    for _ in range(5):
        assert not gets_in(client, [("login", "My-Secret-1"), ("pass", "x"), ("language", "en")])
    kept = repr(rows(ports, "SELECT * FROM login_failure") + rows(ports, "SELECT * FROM login_block"))
    assert rows(ports, "SELECT 1 FROM login_block") == [(1,)]
    assert "My-Secret-1" not in kept


@ON_SQLITE
def test_good_credentials_without_an_operation(client: FlaskClient) -> None:
    """Checklist 7: 200 and zero bytes, by every way of sending them, with and without the module."""
    good: list[tuple[list[Pair], dict[str, str]]] = [
        ([("login", "alice"), ("pass", ALICE_SECRET)], NONE),
        ([("username", "root"), ("password", ROOT_SECRET)], NONE),
        ([], ALICE),
        ([("username", "alice")], ALICE),
    ]
    for fields, headers in good:
        for module in ([], [("module", "mailclient")], [("mailclient", "")]):
            for path in ("/api/api.php", "/mailclient", "/mailclient/"):
                sent = [*fields, *module]
                by_post = form(client, sent, path, headers=headers)
                by_get = client.get(path, query_string=sent, headers=headers)
                for response in (by_post, by_get):
                    assert (response.status_code, response.data) == (200, b"")
                    assert response.headers["Content-Length"] == "0"
                    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
                    assert response.headers["Cache-Control"] == "no-store"
