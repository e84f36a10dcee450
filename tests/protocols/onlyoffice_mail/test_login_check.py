"""Saving proves an account by a real login to both servers; what their users are told when that fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailsvc.services.ports import Ports
from tests.protocols.onlyoffice_mail.office import GENERIC, Foreign, Office, submission
from tests.servers.dovecot_mail import PASSWORD
from tests.servers.scripted import Talk, imap_login, scripted
from tests.services.callers import found

IMAP_FAILED = '<span class="attempt_header">IMAP response:</span><br/>[AUTHENTICATIONFAILED] Authentication failed.'
POP3_FAILED = '<span class="attempt_header">POP3 response:</span><br/>[AUTH] Authentication failed.'
SMTP_FAILED = '<span class="attempt_header">SMTP response:</span><br/>535: 5.7.8 Authentication failed'

GENERAL = -2146233088

OAUTH = (400, "OAuth2 authentication is not supported.", -2147024809)
RANGE = (400, "Value does not fall within the expected range.", -2147024809)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"password": "no"}, IMAP_FAILED),
        ({"smtp_password": "no"}, SMTP_FAILED),
        ({"password": "no", "smtp_password": "no"}, f"{IMAP_FAILED}\r\n{SMTP_FAILED}"),
    ],
)
def test_the_frame_of_a_failure_and_nothing_saved(
    alice: Office, servers: Foreign, ports: Ports, wrong: dict[str, Any], message: str
) -> None:
    email = servers.address()
    assert alice.refusal("POST", **servers.sixteen(email, imap=True, **wrong)) == (500, message, GENERAL)
    assert alice.get() == []
    alice.done("POST", **servers.sixteen(email, imap=True))
    before = found(ports, "SELECT * FROM external_account")
    assert alice.refusal("PUT", **servers.sixteen(email, name="Changed", **wrong)) == (500, message, GENERAL)
    assert found(ports, "SELECT * FROM external_account") == before


def test_the_frame_of_pop3(alice: Office, servers: Foreign) -> None:
    members = servers.sixteen(servers.address(), port=servers.dovecot.pop3, password="no")
    assert alice.refusal("POST", **members) == (500, POP3_FAILED, GENERAL)


def test_hostile_text_is_escaped_and_the_password_hidden(alice: Office, servers: Foreign) -> None:
    reply = f'NO <script>alert("{PASSWORD}")</script>'
    with scripted(lambda talk: (imap_login(talk, reply=reply), None)[1]) as hostile:
        _, message, _ = alice.refusal("POST", **servers.sixteen(servers.address(), imap=True, port=hostile.port))
    frame = '<span class="attempt_header">IMAP response:</span><br/>'
    assert message == f"{frame}&lt;script&gt;alert(&quot;***&quot;)&lt;/script&gt;"


def test_a_password_that_comes_back_as_imap_quotes_it(alice: Office, servers: Foreign) -> None:
    def script(talk: Talk) -> None:
        talk.say("* OK ready")
        while True:
            tag, _, command = talk.hear().partition(" ")
            knows = command.upper() == "CAPABILITY"
            talk.say(*(("* CAPABILITY IMAP4rev1", f"{tag} OK done") if knows else (f"{tag} BAD what is {command}?",)))

    members = servers.sixteen(servers.address(), account="me", password=r'sec"ret\7', imap=True)
    with scripted(script) as echoing:
        _, message, _ = alice.refusal("POST", **{**members, "port": echoing.port})
    assert message.endswith("<br/>what is LOGIN &quot;me&quot; &quot;***&quot;?")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"auth_type_in": 5}, OAUTH),
        ({"auth_type_in": "OAuth2"}, OAUTH),
        ({"auth_type_smtp": 5}, OAUTH),
        ({"auth_type_smtp": 7}, RANGE),
        ({"auth_type_in": 2}, RANGE),
        ({"incoming_encryption_type": 3}, RANGE),
        ({"outcoming_encryption_type": -1}, RANGE),
        ({"auth_type_smtp": 7, "smtp_auth": False}, RANGE),
        ({"auth_type_in": 5, "incoming_encryption_type": 3}, RANGE),
    ],
)
def test_what_is_refused_before_any_connection(
    alice: Office, servers: Foreign, members: dict[str, Any], expected: tuple[int, str, int]
) -> None:
    for method in ("POST", "PUT"):
        assert alice.refusal(method, **servers.sixteen(servers.address(), **members)) == expected
    assert servers.heard == []


def test_oauth_is_not_offered(alice: Office) -> None:
    for method in ("POST", "PUT"):
        for path in ("/oauth", "/oauth.json"):
            assert alice.refusal(method, path, code="x") == OAUTH


def test_smtp_without_authentication(alice: Office, servers: Foreign) -> None:
    email = servers.address()
    required = '<span class="attempt_header">SMTP response:</span><br/>SmtpAuth is required (setup Authentication Type)'
    for none in ({"smtp_auth": False, "auth_type_smtp": 5}, {"auth_type_smtp": 0}, {"smtp_auth": False}):
        assert alice.refusal("POST", **servers.sixteen(email, imap=True, **none)) == (500, required, GENERAL)
    with submission("SIZE 1000") as (port, heard):
        members = servers.sixteen(email, imap=True, smtp_port=port, smtp_auth=False, auth_type_smtp=4)
        assert alice.done("POST", **members)["email"] == email
        assert not any(line.upper().startswith((b"AUTH", b"MAIL")) for line in heard)
    single = alice.get(f"/{email}")
    assert (single["smtp_auth"], single["auth_type_smtp"]) == (False, 0)


def test_a_forbidden_address(alice: Office, servers: Foreign) -> None:
    for host in ("169.254.169.254", "::ffff:169.254.169.254"):
        _, message, _ = alice.refusal("POST", **servers.sixteen(servers.address(), imap=True, server=host))
        assert message.endswith("<br/>Connection to this address is not allowed.")


@pytest.mark.parametrize("more_settings", [{"CONNECT_TIMEOUT": "1", "LOGIN_TIMEOUT": "1"}])
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_silent_servers(alice: Office, servers: Foreign) -> None:
    with scripted(Talk.wait) as silent:
        members = servers.sixteen(servers.address(), port=silent.port, smtp_port=silent.port)
        _, imap, _ = alice.refusal("POST", **members, imap=True)
        _, pop, _ = alice.refusal("POST", **members)
    smtp = '<span class="attempt_header">SMTP response:</span><br/>Smtp.ConnectAsync timeout'
    assert imap == f'<span class="attempt_header">IMAP response:</span><br/>Imap.ConnectAsync timeout\r\n{smtp}'
    assert pop == f'<span class="attempt_header">POP3 response:</span><br/>Pop.ConnectAsync timeout\r\n{smtp}'


def test_a_check_that_finds_no_turn_is_refused_politely(alice: Office, servers: Foreign, ports: Ports) -> None:
    turns = []
    try:
        while True:
            turn = ports.outgoing.turn()
            turn.__enter__()
            turns.append(turn)
    except Exception:
        assert turns
    assert alice.refusal("POST", **servers.sixteen(servers.address(), imap=True)) == (500, GENERIC, GENERAL)
    for turn in turns:
        turn.__exit__(None, None, None)
    assert alice.done("POST", **servers.sixteen(servers.address(), imap=True))


@pytest.fixture
def providers(tmp_path: Path, servers: Foreign) -> Iterator[Path]:
    """A table of two providers. One has no IMAP any more, and the same password for everything."""
    with submission("AUTH PLAIN", password=PASSWORD) as (port, _):
        yield _table(tmp_path / "providers.json", servers, port)


def _table(path: Path, servers: Foreign, other_port: int) -> Path:
    dovecot = servers.dovecot
    smtp, other = ({"host": "127.0.0.1", "port": port} for port in (servers.smtp_port, other_port))
    imap, pop3 = ({"host": "127.0.0.1", "port": port, "encryption": 0} for port in (dovecot.imap, dovecot.pop3))
    table = {
        "foreign.test": {"imap": imap, "pop3": pop3, "smtp": smtp},
        "half.test": {"imap": {**imap, "port": 1}, "pop3": {**pop3, "login": "local"}, "smtp": other},
    }
    path.write_text(json.dumps(table))
    return path


@pytest.fixture
def more_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """The provider table, for those who ask for it."""
    if "providers" not in request.fixturenames:
        callspec = getattr(request.node, "callspec", None)
        given: dict[str, str] = callspec.params.get("more_settings", {}) if callspec else {}
        return given
    return {"MAIL_PROVIDERS": str(request.getfixturevalue("providers"))}


def test_simple(servers: Foreign, providers: Path, alice: Office, ports: Ports) -> None:
    email = servers.address()
    wrong = alice.refusal("POST", "/simple", email=email, password=PASSWORD)
    # The password is right for IMAP and POP3 only.
    assert wrong == (500, f"#1:<br>{SMTP_FAILED}<br>#2:<br>{SMTP_FAILED}<br>", GENERAL)
    both = alice.refusal("POST", "/simple", email=email, password="no")[1]
    assert both == f"#1:<br>{IMAP_FAILED}<br>{SMTP_FAILED}<br>#2:<br>{POP3_FAILED}<br>{SMTP_FAILED}<br>"
    assert alice.refusal("POST", "/simple", email="a@unknown.example", password="p") == (500, GENERIC, GENERAL)
    assert alice.get() == []


def test_simple_saves_what_lets_us_in(servers: Foreign, providers: Path, alice: Office) -> None:
    made = alice.done("POST", "/simple", email="Me@half.test", password=PASSWORD)
    assert (made["email"], made["name"], made["enabled"]) == ("me@half.test", "", True)
    single = alice.get("/me@half.test")
    assert (single["imap"], single["account"], single["port"]) == (False, "Me", str(servers.dovecot.pop3))
    assert (single["smtp_account"], single["auth_type_smtp"], single["restrict"]) == ("Me@half.test", 1, True)


def test_setups(servers: Foreign, providers: Path, alice: Office) -> None:
    email = "a@foreign.test"

    def incoming(action: str | None, address: str = email) -> tuple[str, str, int, bool]:
        query = f"?email={address}" + (f"&action={action}" if action else "")
        found = alice.get("/setups" + query)
        assert (found["id"], found["name"], found["password"], "deliver_to" in found) == (0, "", "", False)
        assert (found["restrict"], found["smtp_auth"], found["auth_type_in"]) == (True, True, 1)
        return found["server"], found["port"], found["incoming_encryption_type"], found["imap"]

    imap, pop3 = servers.dovecot.imap, servers.dovecot.pop3
    for action in (None, "other"):
        assert incoming(action) == ("imap.foreign.test", "993", 1, True)
    for action in ("get_imap_server", "get_imap_server_full", "get_imap_pop_settings"):
        assert incoming(action) == ("127.0.0.1", str(imap), 0, True)
    for action in ("get_pop_server", "get_pop_server_full"):
        assert incoming(action) == ("127.0.0.1", str(pop3), 0, False)
    unknown = "a@x.org"
    for action in (None, "other", "get_imap_server", "get_imap_server_full"):
        assert incoming(action, unknown) == ("imap.x.org", "993", 1, True)
    for action in ("get_pop_server", "get_pop_server_full", "get_imap_pop_settings"):
        assert incoming(action, unknown) == ("pop.x.org", "110", 0, False)
    guessed = alice.get(f"/setups?email={unknown}")
    assert (guessed["smtp_server"], guessed["smtp_port"]) == ("smtp.x.org", "25")
    assert guessed["outcoming_encryption_type"] == 0
    assert (guessed["account"], guessed["smtp_account"]) == (unknown, unknown)
