"""The methods, each against real servers: what they answer, and what they do."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailsvc.services.ports import Ports
from tests.protocols.onlyoffice_mail.office import GENERIC, PREFIX, SMTP_PASSWORD, Foreign, Office
from tests.servers.dovecot_mail import PASSWORD
from tests.services.callers import found, last_audit_entry

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")

ARGUMENT, NULL, FORMAT, GENERAL = -2147024809, -2147467261, -2146233033, -2146233088

SINGLE = [
    *("id", "email", "name", "account", "password", "server", "smtp_server", "smtp_port", "smtp_account"),
    *("smtp_password", "smtp_auth", "port", "incoming_encryption_type", "outcoming_encryption_type", "auth_type_in"),
    *("auth_type_smtp", "imap", "begin_date", "is_oauth", "restrict", "email_in_folder", "is_teamlab", "deliver_to"),
]


def golden(number: int, email: str, **more: Any) -> dict[str, Any]:
    """The account object of the contract, section 7."""
    return {
        "mailboxId": number,
        "email": email,
        "enabled": True,
        "name": "My box",
        "oAuthConnection": False,
        "signature": {"mailboxId": number, "html": "", "isActive": False},
        "autoreply": {
            "mailboxId": number,
            "turnOn": False,
            "onlyContacts": False,
            "turnOnToDate": False,
            "fromDate": "0001-01-01T00:00:00",
            "toDate": "0001-01-01T00:00:00",
            "subject": "",
            "html": "",
        },
        "eMailInFolder": None,
        "quotaError": False,
        "authError": False,
        "isGroup": False,
        "isAlias": False,
        "isTeamlabMailbox": False,
        "isDefault": False,
        "isSharedDomainMailbox": False,
        "dateCreated": None,
    } | more


def made(caller: Office, servers: Foreign, **more: Any) -> tuple[str, int]:
    """A new account: its address and its number."""
    email = servers.address()
    return email, caller.done("POST", **servers.sixteen(email, imap=True, **more))["mailboxId"]


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_the_sixteen_members_of_the_page_take_effect(alice: Office, servers: Foreign, suffix: str) -> None:
    email, number = made(alice, servers)
    sent = servers.sixteen(email.upper(), name="New", account=email, smtp_account="me", restrict=False)
    answer = alice.call("PUT", suffix, json=sent)
    assert answer.status_code == 200
    assert answer.text == json.dumps(
        {"count": 1, "status": 0, "statusCode": 200, "response": golden(number, email, name="New")},
        separators=(",", ":"),
    )
    single = alice.get(f"/single{suffix}?email={email}")
    assert list(single) == SINGLE
    for name, value in sent.items():
        shown = {"email": email, "password": "", "smtp_password": "", "port": str(sent["port"])}
        shown["smtp_port"] = str(sent["smtp_port"])
        assert single[name] == shown.get(name, value), name
    assert single["begin_date"] == "1975-01-01T00:00:00"
    assert (single["imap"], single["email_in_folder"]) == (True, None)
    assert (single["is_oauth"], single["is_teamlab"]) == (False, False)
    assert alice.get(f"/{email}{suffix}") == single


def test_statuses_and_headers(alice: Office, servers: Foreign) -> None:
    email = servers.address()
    answers = [
        alice.call("POST", json=servers.sixteen(email, imap=True)),
        alice.call("GET"),
        alice.call("PUT", json=servers.sixteen(email)),
        alice.call("DELETE", f"?email={email}"),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not [name for name in dict(answer.headers) if name.startswith("Access-Control")]


def test_the_list_is_the_caller_s_own_with_dates(alice: Office, bob: Office, root: Office, servers: Foreign) -> None:
    assert alice.call("GET").text == '{"status":0,"statusCode":200,"response":[]}'
    first, second = made(alice, servers), made(alice, servers)
    made(bob, servers)
    body = json.loads(alice.call("GET").text)
    assert body["count"] == 2
    assert [(row["email"], row["mailboxId"]) for row in body["response"]] == [first, second]
    for row in body["response"]:
        created = row["dateCreated"]
        assert MOMENT.fullmatch(created)
        assert row == golden(row["mailboxId"], row["email"], eMailInFolder="", dateCreated=created)
    assert root.get() == []


def test_the_same_address_may_be_connected_by_several_users(alice: Office, bob: Office, servers: Foreign) -> None:
    email = servers.address()
    numbers = [caller.done("POST", **servers.sixteen(email, imap=True))["mailboxId"] for caller in (alice, bob)]
    assert numbers[0] < numbers[1]
    alice.call("DELETE", f"/{email}")
    assert [row["mailboxId"] for row in bob.get()] == [numbers[1]]


def test_post_overwrites_and_keeps_number_switch_and_date(alice: Office, servers: Foreign) -> None:
    email, number = made(alice, servers)
    alice.done("PUT", "/state", email=email, state=False)
    created = alice.get()[0]["dateCreated"]
    again = alice.done("POST", **servers.sixteen(email.upper(), imap=False, port=servers.dovecot.pop3, name="Again"))
    assert again == golden(number, email, enabled=False, name="Again")
    assert (alice.get()[0]["dateCreated"], alice.get(f"/{email}")["imap"]) == (created, False)
    status, message, _ = alice.refusal("POST", **servers.sixteen(email, imap=True, password=""))
    assert (status, "IMAP response" in message, "SMTP response" in message) == (500, True, False)


def test_put_keeps_blank_passwords_and_overwrites_other_blanks(alice: Office, servers: Foreign) -> None:
    email, _ = made(alice, servers)
    blank = servers.sixteen(email, password="", smtp_password="", name="", smtp_account="")
    assert alice.done("PUT", **blank)["name"] == ""
    assert alice.get(f"/{email}")["smtp_account"] == ""
    assert alice.refusal("PUT", **servers.sixteen(email, password="", server=""))[0] == 500
    assert "The server name is empty." in alice.refusal("PUT", **servers.sixteen(email, server=""))[1]
    assert "The port must be between 1 and 65535." in alice.refusal("PUT", **servers.sixteen(email, port=None))[1]


def test_put_keeps_the_protocol_the_switch_the_number_and_the_date(alice: Office, servers: Foreign) -> None:
    email, number = made(alice, servers)
    alice.done("PUT", "/state", email=email, state=False)
    before = alice.get()[0]
    assert alice.done("PUT", **servers.sixteen(email, imap=False))["enabled"] is False
    assert alice.get(f"/{email}")["imap"] is True
    assert {**alice.get()[0], "isDefault": False} == before
    assert before["mailboxId"] == number


def test_put_finds_no_other_account(alice: Office, bob: Office, servers: Foreign, ports: Ports) -> None:
    email, _ = made(bob, servers)
    before = found(ports, "SELECT * FROM external_account")
    for address in (email, "nobody@x.org"):
        assert alice.refusal("PUT", **servers.sixteen(address)) == (500, GENERIC, GENERAL)
    nameless = {"name": "x"}
    assert alice.refusal("PUT", **nameless) == (400, "Value does not fall within the expected range.", ARGUMENT)
    assert found(ports, "SELECT * FROM external_account") == before
    assert servers.heard.count(b"quit") == 1


@pytest.mark.parametrize(
    ("method", "path", "message", "hresult"),
    [
        ("PUT", "", "Value does not fall within the expected range.", ARGUMENT),
        ("PUT", "/state", "Value cannot be null.\r\nParameter name: email", NULL),
        ("PUT", "/default", "Value cannot be null.\r\nParameter name: email", NULL),
        ("POST", "", "Value cannot be null.\r\nParameter name: address", NULL),
        ("GET", "/setups", "Value cannot be null.\r\nParameter name: address", NULL),
        ("POST", "/simple", "Empty email\r\nParameter name: email", ARGUMENT),
        ("GET", "/single", "Email empty\r\nParameter name: email", ARGUMENT),
        ("DELETE", "", "Email empty\r\nParameter name: email", ARGUMENT),
    ],
)
def test_a_missing_address(alice: Office, method: str, path: str, message: str, hresult: int) -> None:
    for email in (None, ""):
        sent: dict[str, Any] = {} if method == "GET" else {"json": {"email": email}}
        answer = alice.call(method, path, **sent)
        error = json.loads(answer.text)["error"]
        assert (answer.status_code, error["message"], error["hresult"]) == (400, message, hresult)


@pytest.mark.parametrize("email", ["x", "a@", "@b", "A <a@b.c>", "a b@c.d", " a@b.c", "a@b.c\n", "a@b@c", "a@b..c"])
def test_what_is_no_address(alice: Office, email: str) -> None:
    expected = (500, "The specified string is not in the form required for an e-mail address.", FORMAT)
    assert alice.refusal("PUT", email=email) == expected
    assert alice.refusal("POST", email=email) == expected
    assert alice.refusal("PUT", "/state", email=email) == expected


def test_an_account_that_is_not_the_caller_s(alice: Office, bob: Office, servers: Foreign) -> None:
    email, _ = made(bob, servers)
    wrong = (500, f"Account wasn't found by email: {email}", NULL)
    assert alice.refusal("GET", f"/single?email={email}") == wrong
    assert alice.refusal("GET", f"/{email}") == wrong
    assert alice.refusal("DELETE", email=email) == wrong
    assert alice.refusal("PUT", "/state", email=email, state=True) == wrong
    assert alice.refusal("PUT", "/default", email=email, isDefault=True) == (400, "Account not found", ARGUMENT)


def test_state(alice: Office, servers: Foreign, ports: Ports) -> None:
    email, number = made(alice, servers)
    calls = len(servers.heard)
    for _ in range(2):
        assert alice.done("PUT", "/state", email=email.upper(), state=False) == number
        assert alice.get()[0]["enabled"] is False
    assert len(servers.heard) == calls
    with ports.store.writing() as unit:
        unit.exec_driver_sql("UPDATE external_account SET auth_error = 1, failing_since = 1")
    assert alice.get()[0]["authError"] is True
    for _ in range(2):
        assert alice.done("PUT", "/state", email=email, state="TRUE") == number
        assert (alice.get()[0]["enabled"], alice.get()[0]["authError"]) == (True, False)
    assert len(servers.heard) > calls
    with ports.store.writing() as unit:
        unit.exec_driver_sql("UPDATE external_account SET smtp_port = 1, auth_error = 1, enabled = 0")
    status, message, _ = alice.refusal("PUT", "/state", email=email, state=True)
    assert (status, message) == (500, '<span class="attempt_header">SMTP response:</span><br/>Connection refused')
    assert (alice.get()[0]["enabled"], alice.get()[0]["authError"]) == (False, True)
    last = last_audit_entry(ports)
    assert last == ("onlyoffice_mail", "setAccountState", "alice", "alice", email, "LoginRejected", 500)


def test_a_successful_put_clears_an_auth_error(alice: Office, servers: Foreign, ports: Ports) -> None:
    email, _ = made(alice, servers)
    with ports.store.writing() as unit:
        unit.exec_driver_sql("UPDATE external_account SET auth_error = 1, quota_error = 1, failing_since = 1")
    assert (alice.get()[0]["authError"], alice.get()[0]["quotaError"]) == (True, True)
    assert alice.done("PUT", **servers.sixteen(email))["quotaError"] is False
    assert (alice.get()[0]["authError"], alice.get()[0]["quotaError"]) == (False, True)


def test_the_default_account(alice: Office, bob: Office, servers: Foreign) -> None:
    (first, _), (second, _) = made(alice, servers), made(alice, servers)
    made(bob, servers)
    for email in (first, second):
        assert alice.done("PUT", "/default", email=email.upper(), isDefault=True) == email
        assert [row["isDefault"] for row in alice.get()] == [email == first, email == second]
        assert [row["isDefault"] for row in bob.get()] == [False]
    assert alice.done("PUT", **servers.sixteen(second))["isDefault"] is True
    # Whichever is named, the default is cleared.
    assert alice.done("PUT", "/default", email="any@where.org", isDefault=False) == "any@where.org"
    assert [row["isDefault"] for row in alice.get()] == [False, False]
    alice.done("PUT", "/default", email=second, isDefault=True)
    alice.call("DELETE", f"?email={second}")
    assert alice.done("POST", **servers.sixteen(second, imap=True))["isDefault"] is False


def test_delete_forgets_everything(alice: Office, servers: Foreign, ports: Ports) -> None:
    email, number = made(alice, servers)
    for path, sent in (("", {"json": {"email": email}}), (f"/{email}.json", {})):
        body = json.loads(alice.call("DELETE", path, **sent).text)
        assert body["count"] == 1
        identifier = body["response"].pop("id")
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", identifier)
        assert body["response"] == {
            "completed": True,
            "status": "Finished",
            "error": "",
            "percents": 100,
            "source": str(number),
            "operationType": 2,
            "operation": "RemoveMailbox",
        }
        assert alice.get() == []
        assert found(ports, "SELECT * FROM external_account") == []
        assert alice.refusal("DELETE", email=email)[1] == f"Account wasn't found by email: {email}"
        finished = alice.get(f"{PREFIX}/operations/{identifier}")
        assert finished == {
            "completed": True,
            "id": None,
            "status": "",
            "error": "",
            "percents": 100,
            "source": "",
            "operationType": -1,
            "operation": None,
        }
        number = alice.done("POST", **servers.sixteen(email, imap=True))["mailboxId"]
    assert number == 3


def test_deliver_to(alice: Office, bob: Office, root: Office, servers: Foreign) -> None:
    email, _ = made(alice, servers, deliver_to="Old@Example.com")
    assert alice.get(f"/{email}")["deliver_to"] == "old@example.com"
    alice.done("PUT", **servers.sixteen(email))
    alice.done("PUT", **servers.sixteen(email, deliver_to=None))
    assert alice.get(f"/{email}")["deliver_to"] == "old@example.com"
    wrong = (400, "Mailbox specified in deliver_to was not found", ARGUMENT)
    for address in ("nobody@example.com", "not an address", "me@elsewhere.org"):
        assert alice.refusal("PUT", **servers.sixteen(email, deliver_to=address)) == wrong
    # Before it is even looked whether there is such an account.
    assert alice.refusal("PUT", **servers.sixteen("no@where.org", deliver_to="nobody@example.com")) == wrong
    assert bob.refusal("POST", **servers.sixteen(servers.address(), deliver_to="old@example.com")) == wrong
    assert made(root, servers, deliver_to="old@example.com")
    alice.done("PUT", **servers.sixteen(email, deliver_to=""))
    assert alice.get(f"/{email}")["deliver_to"] == ""


def test_restrict_fixes_the_begin_date_at_each_save(alice: Office, servers: Foreign) -> None:
    email, _ = made(alice, servers)
    begin = datetime.fromisoformat(alice.get(f"/{email}")["begin_date"]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - timedelta(days=30) - begin) < timedelta(minutes=10)
    alice.done("PUT", **servers.sixteen(email, restrict="false"))
    assert alice.get(f"/{email}")["restrict"] is False


def test_nothing_secret_is_stored_in_clear_or_shown(
    alice: Office, servers: Foreign, ports: Ports, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    email, _ = made(alice, servers)
    with ports.store.reading() as unit:
        tables = (
            [name for (name,) in unit.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            if (ports.store.file)
            else ["external_account", "audit_entry", "api_key"]
        )
        stored = repr([tuple(row) for table in tables for row in unit.exec_driver_sql(f"SELECT * FROM {table}")])
    for secret in (PASSWORD, SMTP_PASSWORD, key):
        assert secret not in stored
    for path in ("", f"/{email}", f"/single?email={email}"):
        assert PASSWORD not in alice.call("GET", path).text
    assert alice.refusal("PUT", **servers.sixteen(email, password="Canary-9", smtp_password="Canary-8"))[0] == 500
    assert "Canary" not in caplog.text
    assert "Canary" not in repr(last_audit_entry(ports))
