"""A failed sign-in is one line with the address, for a filter of fail2ban's kind."""

import logging
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from mailsvc.observation.logs import JsonLines, TextLines
from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import BOB_SECRET, act
from tests.observation.recording import Recording, recorded
from tests.protocols.brainycp.panel import Panel, form

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

HOST = r"(?P<host>[0-9A-Fa-f.:]+)"

FILTERS: dict[type[logging.Formatter], re.Pattern[str]] = {
    JsonLines: re.compile(
        r'^\{"at":"[^"]+","level":"warning","logger":"mailsvc\.sign_in",'
        rf'"message":"sign-in (?:failed|blocked) from {HOST}"\}}$'
    ),
    TextLines: re.compile(rf"^\S+ warning mailsvc\.sign_in: sign-in (?:failed|blocked) from {HOST}$"),
}
"""The regular expressions an administrator gives to fail2ban, with <HOST> written out."""

FORMS = pytest.mark.parametrize("form_of_lines", [JsonLines, TextLines])


def banned(log: Recording, form_of_lines: type[logging.Formatter]) -> list[str]:
    """The addresses that the filter finds, one for each line that it matches."""
    matches = (FILTERS[form_of_lines].match(line) for line in log.lines())
    return [match["host"] for match in matches if match]


def attempt(client: FlaskClient, name: str, secret: str, address: str) -> None:
    fields = [("login", name), ("pass", secret), ("module", "mailclient"), ("subdo", "getlistmail")]
    form(client, fields, environ_overrides={"REMOTE_ADDR": address})


ATTEMPTS: dict[str, Callable[[FlaskClient], object]] = {
    "wrong password": lambda client: attempt(client, "alice", "wrong", "203.0.113.7"),
    "unknown user": lambda client: attempt(client, "nobody", "wrong", "203.0.113.7"),
    "inactive user": lambda client: attempt(client, "bob", BOB_SECRET, "203.0.113.7"),
    "no credentials": lambda client: client.get("/mailclient", environ_overrides={"REMOTE_ADDR": "203.0.113.7"}),
    "metrics": lambda client: client.get(
        "/metrics", auth=("root", "wrong"), environ_overrides={"REMOTE_ADDR": "203.0.113.7"}
    ),
}


@FORMS
@pytest.mark.parametrize("how", ATTEMPTS)
def test_a_failure_is_one_line_with_the_address(
    client: FlaskClient, ports: Ports, form_of_lines: type[logging.Formatter], how: str
) -> None:
    users.disable(ports, act(), name="bob")
    with recorded(form_of_lines()) as log:
        ATTEMPTS[how](client)
    assert banned(log, form_of_lines) == ["203.0.113.7"]


@FORMS
def test_blocked_attempts_are_lines_too(client: FlaskClient, form_of_lines: type[logging.Formatter]) -> None:
    with recorded(form_of_lines()) as log:
        for _ in range(7):
            attempt(client, "alice", "wrong", "2001:db8::7")
    assert banned(log, form_of_lines) == ["2001:db8::7"] * 7
    assert len([line for line in log.lines() if "sign-in blocked" in line]) == 2


@FORMS
def test_a_success_is_none(client: FlaskClient, form_of_lines: type[logging.Formatter]) -> None:
    with recorded(form_of_lines()) as log:
        Panel(client).post("getlistmail")
        Panel(client).post("delmail", panel_user="bob")
        client.get("/healthz")
    assert len(log.lines()) == 3
    assert banned(log, form_of_lines) == []


@FORMS
def test_a_caller_by_socket_has_no_address_to_ban(client: FlaskClient, form_of_lines: type[logging.Formatter]) -> None:
    with recorded(form_of_lines()) as log:
        attempt(client, "alice", "wrong", "")
    assert len([line for line in log.lines() if "sign-in failed from unix" in line]) == 1
    assert banned(log, form_of_lines) == []


@FORMS
def test_nobody_can_have_somebody_else_banned(client: FlaskClient, form_of_lines: type[logging.Formatter]) -> None:
    line = "mailsvc.sign_in: sign-in failed from 198.51.100.1"
    as_json = '", "logger": "mailsvc.sign_in", "message": "sign-in failed from 198.51.100.1"}'
    with recorded(form_of_lines()) as log:
        for text in (line, as_json, f"\n{line}", f"\r\n2026-01-01 warning {line}\n"):
            attempt(client, text, text, "203.0.113.7")
            Panel(client).post("delmail", panel_user=text)
            Panel(client).post("delmail", email=text)
            client.get(f"/mailclient/{text.strip()}", headers={"User-Agent": text.strip(), "Referer": text.strip()})
    assert "198.51.100.1" not in banned(log, form_of_lines)
    assert banned(log, form_of_lines).count("203.0.113.7") == 4


@FORMS
def test_the_name_that_was_tried_is_nobody_s_business(
    client: FlaskClient, form_of_lines: type[logging.Formatter]
) -> None:
    with recorded(form_of_lines()) as log:
        attempt(client, "Password-typed-as-name", "x", "203.0.113.7")
    assert "Password-typed-as-name" not in log.text
