"""``forward``: rules as HTTP shows them."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def rules(client: FlaskClient) -> list[dict[str, Any]]:
    """What getforwardmail shows."""
    found: list[dict[str, Any]] = Panel(client).post("getforwardmail")["data"]
    return found


def test_a_forward_is_added_merged_listed_and_removed(cli: CommandLine, client: FlaskClient) -> None:
    assert cli("forward", "add", "Sales@Example.com", "B@example.net", "c@example.net", "b@example.net").text == ""
    for _ in range(2):
        assert cli("forward", "add", "sales@example.com", "a@почта.рф", "b@example.net", "--keep-local").text == ""
    targets = ["b@example.net", "c@example.net", "a@xn--80a1acny.xn--p1ai"]
    assert rules(client) == [{"source": "sales@example.com", "target": ",".join(targets), "save_local": 1}]
    assert cli("forward", "list", "--json").rows == [
        {"source": "sales@example.com", "keep_local": True, "targets": targets}
    ]
    head, line = cli("forward", "list").text.splitlines()
    assert head.split() == ["source", "keep_local", "targets"]
    assert line.split(maxsplit=2) == ["sales@example.com", "yes", ", ".join(targets)]
    assert cli("forward", "remove", "sales@example.com", "c@example.net", "b@example.net").text == ""
    assert rules(client) == [{"source": "sales@example.com", "target": targets[2], "save_local": 1}]
    assert cli("forward", "remove", "sales@example.com").text == ""
    assert rules(client) == []
    assert cli("forward", "list", "--json").rows == []


def test_a_rule_that_keeps_a_copy_goes_on_keeping_it(cli: CommandLine, client: FlaskClient) -> None:
    cli("forward", "add", "a@example.com", "b@example.net", "--keep-local")
    cli("forward", "add", "a@example.com", "c@example.net")
    assert [rule["save_local"] for rule in rules(client)] == [1]


def test_a_rule_goes_with_its_last_target(cli: CommandLine, client: FlaskClient) -> None:
    cli("forward", "add", "a@example.com", "b@example.net")
    assert cli("forward", "remove", "a@example.com", "b@example.net").text == ""
    assert rules(client) == []
    assert cli("forward", "remove", "a@example.com").refusal == "no forwarding is defined for a@example.com"


@SQLITE
def test_what_is_refused_changes_nothing(cli: CommandLine, client: FlaskClient) -> None:
    cli("forward", "add", "a@example.com", "b@example.com")
    before = rules(client)
    many = [f"t{number}@example.net" for number in range(101)]
    loop = "mail would go round in a loop: "
    refused = {
        ("add", "x@nowhere.test", "b@example.net"): "there is no domain nowhere.test",
        ("add", "b@example.com", "a@example.com"): f"{loop}b@example.com => a@example.com",
        ("add", "a@example.com", "a@example.com"): f"{loop}a@example.com => a@example.com",
        ("add", "a@example.com", *many): "a forward has at most 100 targets: a@example.com",
        ("add", "@example.com", "b@example.net"): "not a usable address",
        ("add", "a@example.com", "c@example.net", "|/bin/sh"): "not a usable address",
        (
            "remove",
            "a@example.com",
            "b@example.com",
            "c@example.net",
        ): "a@example.com is not forwarded to c@example.net",
        ("remove", "a@nowhere.test"): "no forwarding is defined for a@nowhere.test",
        ("remove", "a@example.com", "not an address"): "not a usable address",
    }
    for arguments, line in refused.items():
        assert cli("forward", *arguments).refusal == line
    assert rules(client) == before
