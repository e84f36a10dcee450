"""``token``: made, listed, and ended."""

import re

import pytest
from flask.testing import FlaskClient

from mailsvc.services.ports import Ports
from tests.cli.command_line import CommandLine
from tests.services.callers import last_audit_entry

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def is_known(client: FlaskClient, key: str) -> bool:
    """Whether the ONLYOFFICE dialects know whose ``key`` is."""
    answer = client.get("/api/2.0/authentication", headers={"Authorization": key}).get_json()
    known: bool = answer["response"]
    return known


def test_a_key_is_printed_works_and_is_ended(cli: CommandLine, client: FlaskClient, ports: Ports) -> None:
    printed = cli("token", "add", "alice").text
    key = printed.removesuffix("\n")
    assert re.fullmatch(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}", key), "nothing else is printed"
    assert last_audit_entry(ports)[1:2] + last_audit_entry(ports)[4:6] == ("token add", "alice", "done")
    assert is_known(client, key) and is_known(client, key.lower())
    (row,) = cli("token", "list", "alice", "--json").rows
    assert row.keys() == {"id", "created", "expires"}
    assert row["expires"] is None
    assert cli("token", "revoke", str(row["id"])).text == ""
    assert not is_known(client, key)
    assert cli("token", "list", "alice").text == ""


def test_a_key_may_have_an_end(cli: CommandLine) -> None:
    cli("token", "add", "alice", "--days", "30")
    (row,) = cli("token", "list", "alice", "--json").rows
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["expires"])
    assert row["expires"] > row["created"]
    assert cli("token", "list", "bob", "--json").rows == []


@SQLITE
def test_refusals(cli: CommandLine, ports: Ports) -> None:
    assert cli("token", "add", "nobody").refusal == "there is no user nobody"
    assert cli("token", "list", "nobody").refusal == "there is no user nobody"
    assert cli("token", "revoke", "7").refusal == "there is no API key 7"
    assert last_audit_entry(ports)[1:2] + last_audit_entry(ports)[4:6] == ("token revoke", "7", "NothingStored")
    for wrong in (("add", "alice", "--days", "0"), ("add", "alice", "--days", "x"), ("revoke", "0"), ("revoke", "x")):
        assert cli("token", *wrong).misuse
