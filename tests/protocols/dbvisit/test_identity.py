"""Who calls: Basic, cookie, token, API key; login and logout. Checklist 9 to 11."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, ROOT_SECRET, act
from tests.protocols.dbvisit.calling import CALLS, CHALLENGE, EMPTY, ON_SQLITE, Program, basic, parsed, said
from tests.services.callers import checked

UNKNOWN = (401, "authentication required")
REFUSED = (401, "invalid user name or password")
RIGHT = f'{{"UserName":"root","Password":"{ROOT_SECRET}"}}'


@pytest.fixture
def anonymous(app: Flask) -> Program:
    """A client that keeps no cookies, so that each call brings what the test says."""
    return Program(app.test_client(use_cookies=False), {})


def cookie_of(program: Program, name: str = "root", secret: str = ROOT_SECRET) -> str:
    """The ``Cookie`` header of a new login."""
    response = program.send("/api/login", f'{{"UserName":"{name}","Password":"{secret}"}}')
    assert response.text == '{"Status":200,"Result":{}}' and response.status_code == 200
    return response.headers["Set-Cookie"].split(";")[0]


def token_of(ports: Ports, name: str, kind: str = tokens.ONLYOFFICE) -> str:
    """A token that the login of another dialect gave."""
    token = tokens.new_token()
    tokens.begin(ports, checked(ports, name), kind=kind, token=token, lifetime=timedelta(days=1))
    return token


def every_means(ports: Ports, program: Program, name: str, secret: str) -> list[Program]:
    """Every way for a user to say who he is."""
    key = tokens.add_key(ports, act(), user=name)
    return [
        program.with_headers(**basic(name, secret)),
        program.with_headers(Cookie=cookie_of(program, name, secret)),
        program.with_headers(Authorization=token_of(ports, name)),
        program.with_headers(Authorization=f"Bearer {token_of(ports, name)}"),
        program.with_headers(Authorization=f"bearer  {token_of(ports, name)} "),
        program.with_headers(Authorization=key),
        program.with_headers(Authorization=f"Bearer {key.lower()}"),
    ]


def test_root_by_every_means(ports: Ports, anonymous: Program) -> None:
    for program in every_means(ports, anonymous, "root", ROOT_SECRET):
        assert program.result("show") == EMPTY


def test_a_user_without_rights_by_every_means(ports: Ports, anonymous: Program) -> None:
    for program in every_means(ports, anonymous, "alice", ALICE_SECRET):
        for call in CALLS:
            assert program.refusal(call, {"to": "a@b.example"}) == (403, "root rights required")


def test_nobody(anonymous: Program) -> None:
    for call in CALLS:
        response = anonymous.post(call)
        assert said(response) == UNKNOWN and response.headers["WWW-Authenticate"] == CHALLENGE


@ON_SQLITE
@pytest.mark.parametrize(
    "authorization",
    ["", " ", "Basic", "Basic !!!", "Basic cm9vdA==", "Bearer", "Bearer ", "Basic cm9vdDp3cm9uZw==", "nonsense",
     "Negotiate x", "\xff", "Bearer " + "x" * 5000],
)  # fmt: skip
def test_a_wrong_header_beside_a_good_cookie(authorization: str, anonymous: Program) -> None:
    program = anonymous.with_headers(Cookie=cookie_of(anonymous))
    assert program.result("show") == EMPTY
    assert said(program.also(Authorization=authorization).post("show")) == UNKNOWN


@ON_SQLITE
def test_tokens_of_other_kinds_do_not_count(ports: Ports, anonymous: Program) -> None:
    webitel = token_of(ports, "root", tokens.WEBITEL)
    cookie = cookie_of(anonymous).partition("=")[2]
    for token in (webitel, cookie):
        assert anonymous.with_headers(Authorization=token).refusal("show") == UNKNOWN
    for token in (webitel, token_of(ports, "root"), tokens.add_key(ports, act(), user="root")):
        assert anonymous.with_headers(Cookie=f"dbvisit-standby={token}").refusal("show") == UNKNOWN


def test_an_inactive_root(ports: Ports, anonymous: Program) -> None:
    users.add(ports, act(), name="second", password="Second-1", role="root")
    means = every_means(ports, anonymous, "second", "Second-1")
    users.disable(ports, act(), name="second")
    for program in means:
        assert program.refusal("show") == UNKNOWN
    assert said(anonymous.send("/api/login", '{"UserName":"second","Password":"Second-1"}')) == REFUSED


# The cookie


def test_the_cookie_of_a_login(anonymous: Program, ports: Ports) -> None:
    response = anonymous.send("/api/login", RIGHT)
    assert parsed(response) == {"Status": 200, "Result": {}}
    (header,) = response.headers.getlist("Set-Cookie")
    match = re.fullmatch(
        r"dbvisit-standby=([\w-]{43}); Path=/; Expires=([^;]+ GMT); Max-Age=2592000; HttpOnly; SameSite=Strict", header
    )
    assert match is not None
    until = parsedate_to_datetime(match[2])
    assert abs(until - datetime.now(UTC) - timedelta(days=30)) < timedelta(hours=1)
    with ports.store.reading() as unit:
        (row,) = unit.execute(sa.text("SELECT kind, digest, expires_at FROM login_session")).all()
    assert row.kind == "dbvisit" and match[1] not in repr(row)
    assert row.digest == tokens.digest_of(match[1])


@ON_SQLITE
def test_secure_only_over_tls(anonymous: Program) -> None:
    assert "Secure" not in anonymous.send("/api/login", RIGHT).headers["Set-Cookie"]
    over_tls = anonymous.send("/api/login", RIGHT, base_url="https://localhost")
    assert over_tls.headers["Set-Cookie"].endswith("; SameSite=Strict; Secure")
    faked = anonymous.also(X_Forwarded_Proto="https").send("/api/login", RIGHT)
    assert "Secure" not in faked.headers["Set-Cookie"]


@ON_SQLITE
@pytest.mark.parametrize("more_settings", [{"TRUSTED_PROXIES": "1"}])
def test_secure_behind_a_proxy(anonymous: Program) -> None:
    response = anonymous.also(X_Forwarded_Proto="https").send("/api/login/", RIGHT)
    assert response.headers["Set-Cookie"].endswith("; Secure")


@ON_SQLITE
def test_each_login_has_a_cookie_of_its_own(anonymous: Program) -> None:
    first = cookie_of(anonymous)
    second = cookie_of(anonymous.with_headers(Cookie=first))
    third = cookie_of(anonymous.with_headers(Cookie="dbvisit-standby=chosen-by-somebody-else"))
    assert len({first, second, third, "dbvisit-standby=chosen-by-somebody-else"}) == 4
    for cookie in (first, second, third):
        assert anonymous.with_headers(Cookie=cookie).result("show") == EMPTY
    assert anonymous.with_headers(Cookie="dbvisit-standby=chosen-by-somebody-else").refusal("show") == UNKNOWN


def test_logout_ends_this_login_alone(anonymous: Program, ports: Ports) -> None:
    first, second = (anonymous.with_headers(Cookie=cookie_of(anonymous)) for _ in range(2))
    for program in (first, first, anonymous, anonymous.with_headers(Cookie="dbvisit-standby=x")):
        response = program.send("/api/logout", "{}")
        assert response.status_code == 200 and response.text == '{"Status":200,"Result":{}}'
        cleared = response.headers["Set-Cookie"]
        assert cleared.startswith("dbvisit-standby=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0;")
    assert first.refusal("show") == UNKNOWN
    assert second.result("show") == EMPTY
    with ports.store.reading() as unit:
        assert unit.scalar(sa.text("SELECT count(*) FROM login_session")) == 1


def test_a_changed_password_ends_all_logins(anonymous: Program, ports: Ports) -> None:
    cookies = [cookie_of(anonymous) for _ in range(2)]
    users.change_password(ports, act(), name="root", password="Root-2")
    for cookie in cookies:
        assert anonymous.with_headers(Cookie=cookie).refusal("show") == UNKNOWN
    assert anonymous.with_headers(**basic("root", ROOT_SECRET)).refusal("show") == UNKNOWN


def test_thirty_days_are_not_prolonged(anonymous: Program, ports: Ports) -> None:
    program = anonymous.with_headers(Cookie=cookie_of(anonymous))
    for left, expected in ((timedelta(minutes=5), EMPTY), (timedelta(), None)):
        ends = datetime.now(UTC) + left
        with ports.store.writing() as unit:
            unit.execute(sa.text("UPDATE login_session SET expires_at = :ends"), {"ends": int(ends.timestamp() * 1000)})
        if expected is None:
            assert program.refusal("show") == UNKNOWN
        else:
            assert program.result("show") == expected


@ON_SQLITE
def test_a_removed_user_is_nobody(anonymous: Program, ports: Ports) -> None:
    users.add(ports, act(), name="second", password="Second-1", role="root")
    means = every_means(ports, anonymous, "second", "Second-1")
    users.remove(ports, act(), name="second")
    for program in means:
        assert program.refusal("show") == UNKNOWN


# The login call

WRONG = [
    '{"UserName":"root","Password":"wrong"}', '{"UserName":"nobody","Password":"Root-1"}', '{"UserName":"root"}',
    '{"Password":"Root-1"}', "{}", "", '{"UserName":null,"Password":null}', '{"UserName":["root"],"Password":"Root-1"}',
    '{"UserName":"root","Password":1}', '{"username":"root","password":"Root-1"}',
    '{"UserName":"","Password":""}', '{"UserName":"ROOT","Password":"Root-1"}',
    r'{"UserName":"root\u0000","Password":"x"}',
]  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
def test_a_login_that_is_refused(body: str, anonymous: Program, monkeypatch: pytest.MonkeyPatch, ports: Ports) -> None:
    checked: list[str] = []
    checking = type(ports.passwords).checking

    def watched(passwords: object) -> object:
        checked.append("hash")
        return checking(passwords)  # type: ignore[arg-type]

    monkeypatch.setattr(type(ports.passwords), "checking", watched)
    response = anonymous.send("/api/login", body)
    assert said(response) == REFUSED
    assert "Set-Cookie" not in response.headers and "WWW-Authenticate" not in response.headers
    assert checked == ["hash"], "each takes the time of one hash"


@ON_SQLITE
def test_a_role_user_may_log_in(anonymous: Program) -> None:
    program = anonymous.with_headers(Cookie=cookie_of(anonymous, "alice", ALICE_SECRET))
    assert program.refusal("show") == (403, "root rights required")


@ON_SQLITE
def test_the_throttle_is_the_one_of_all_dialects(anonymous: Program, client: FlaskClient) -> None:
    for _ in range(3):
        assert said(anonymous.send("/api/login", '{"UserName":"root","Password":"wrong"}')) == REFUSED
    for _ in range(2):
        assert anonymous.with_headers(**basic("root", "wrong")).refusal("show") == UNKNOWN
    assert said(anonymous.send("/api/login", RIGHT)) == REFUSED
    blocked = anonymous.with_headers(**basic("root", ROOT_SECRET)).post("show")
    assert said(blocked) == UNKNOWN and blocked.headers["WWW-Authenticate"] == CHALLENGE
    form = client.post("/api/api.php", data={"login": "root", "pass": ROOT_SECRET, "module": "mailclient"})
    assert form.get_json()["error"] == 1000
