"""``mailbox``: what is done here is what HTTP lists and the mail servers see."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from mailsvc.services.ports import Ports
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

OLD = {"address": "old@example.com", "quota_mib": 0, "enabled": True}


def boxes(client: FlaskClient) -> list[dict[str, Any]]:
    """What getlistmail shows."""
    found: list[dict[str, Any]] = Panel(client).post("getlistmail")["boxes"]
    return found


def opens_with(ports: Ports, address: str, password: str) -> bool:
    """Whether the stored hash, which is Dovecot's, was made from that password."""
    with ports.store.reading() as unit:
        stored = unit.scalar(sa.text("SELECT password_hash FROM mailbox WHERE address = :a"), {"a": address})
    assert stored is not None and stored.startswith("{ARGON2ID}$argon2id$")
    with ports.passwords.checking() as matches:
        return matches(stored, password)


def test_a_mailbox_is_added_and_listed(cli: CommandLine, client: FlaskClient, ports: Ports) -> None:
    added = ("mailbox", "add", "New.Box @ EXAMPLE.com", "--quota", "1024", "--password-stdin")
    assert cli(*added, stdin="{SSHA}Пароль 1 \n").text == ""
    assert boxes(client) == [
        {"email": "new.box@example.com", "quota": 1024, "enabled": True},
        {"email": "old@example.com", "quota": 0, "enabled": True},
    ]
    new = {"address": "new.box@example.com", "quota_mib": 1024, "enabled": True}
    assert cli("mailbox", "list", "--json").rows == [new, OLD]
    assert opens_with(ports, "new.box@example.com", "{SSHA}Пароль 1 ")


def test_the_list_of_one_domain(cli: CommandLine) -> None:
    cli("mailbox", "add", "b@bob.test", "--quota", "7", "--password-stdin", stdin="Box-1\n")
    assert cli("mailbox", "list", "--domain", "Bob.Test", "--json").rows == [
        {"address": "b@bob.test", "quota_mib": 7, "enabled": True}
    ]
    head, *lines = cli("mailbox", "list").text.splitlines()
    assert head.split() == ["address", "quota_mib", "enabled"]
    assert [line.split() for line in lines] == [["b@bob.test", "7", "yes"], ["old@example.com", "0", "yes"]]
    assert cli("mailbox", "list", "--domain", "new.test").refusal == "there is no domain new.test"
    assert cli("mailbox", "list", "--domain", "nonsense").refusal == "not a usable domain"


@SQLITE
def test_an_empty_list_is_a_list(cli: CommandLine) -> None:
    assert cli("mailbox", "list", "--domain", "bob.test", "--json").rows == []
    assert cli("mailbox", "list", "--domain", "bob.test").text == ""


def test_a_mailbox_is_changed_and_removed(cli: CommandLine, client: FlaskClient, ports: Ports) -> None:
    address = "old@example.com"
    assert cli("mailbox", "passwd", address, "--password-stdin", stdin="Box-2\n").text == ""
    assert opens_with(ports, address, "Box-2") and not opens_with(ports, address, "Box-0")
    for command in (("quota", address, "2048"), ("disable", address)):
        for _ in range(2):
            assert cli("mailbox", *command).text == ""
    assert boxes(client) == [{"email": address, "quota": 2048, "enabled": False}]
    assert cli("mailbox", "list").text.splitlines()[1].split() == [address, "2048", "no"]
    for _ in range(2):
        assert cli("mailbox", "enable", address).text == ""
    assert boxes(client) == [{"email": address, "quota": 2048, "enabled": True}]
    assert cli("mailbox", "remove", address).text == ""
    assert boxes(client) == []
    assert cli("mailbox", "remove", address).refusal == f"there is no mailbox {address}"


@pytest.mark.parametrize("command", ["passwd", "quota", "disable", "enable", "remove"])
def test_a_mailbox_that_is_not_there_is_named(cli: CommandLine, command: str) -> None:
    more = {"passwd": ["--password-stdin"], "quota": ["1"]}.get(command, [])
    for address in ("absent@example.com", "old@nowhere.test"):
        assert cli("mailbox", command, address, *more, stdin="Box-1\n").refusal == f"there is no mailbox {address}"


@SQLITE
@pytest.mark.parametrize("quota", ["-1", "1.5", "10M", "", "2147483648", "٣"])
def test_a_quota_is_a_whole_number_of_mebibytes(cli: CommandLine, quota: str) -> None:
    added = cli("mailbox", "add", "new@example.com", f"--quota={quota}", "--password-stdin", stdin="Box-1\n")
    assert added.refusal == "not a usable quota"
    assert cli("mailbox", "quota", "--", "old@example.com", quota).refusal == "not a usable quota"
    assert cli("mailbox", "list", "--json").rows == [OLD]


@SQLITE
def test_no_password_is_kept_as_it_is(cli: CommandLine, ports: Ports) -> None:
    secret = "Canary-c0ffee"
    cli("mailbox", "add", "new@example.com", "--quota", "0", "--password-stdin", stdin=f"{secret}\n")
    cli("mailbox", "add", "new@example.com", "--quota", "0", "--password-stdin", stdin=f"{secret}\n")
    cli("mailbox", "passwd", "absent@example.com", "--password-stdin", stdin=f"{secret}\n")
    cli("mailbox", "add", secret, "--quota", "0", "--password-stdin", stdin=f"{secret}\n")
    cli("user", "passwd", "bob", "--password-stdin", stdin=f"{secret}\n")
    ports.store.close()
    stored = [path.read_bytes() for path in Path(ports.settings.data_dir).rglob("*") if path.is_file()]
    assert stored and not [content for content in stored if secret.encode() in content]
