"""The command line and HTTP refuse alike: the same use-case, the same refusal, nothing changed by either."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

import config
from mailsvc.app import create_app
from mailsvc.services.ports import Ports, open_ports
from tests.application import ROOT_SECRET, settings_for
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

MANY = [f"t{number}@example.net" for number in range(101)]

Case = tuple[str, dict[str, str], tuple[str, ...], str, str]
"""Operation, its fields, the command, what comes in on its standard input, the refusal."""


def adding(address: str, refusal: str, password: str = "Box-1", quota: str = "0") -> Case:
    """A mailbox that cannot be added."""
    fields = {"email": address, "password": password, "quota": quota}
    arguments = ("mailbox", "add", address, f"--quota={quota}", "--password-stdin")
    return "addmail", fields, arguments, f"{password}\n", refusal


def removing(address: str, refusal: str) -> Case:
    """A mailbox that cannot be removed."""
    return "delmail", {"email": address}, ("mailbox", "remove", address), "", refusal


def forwarding(source: str, targets: list[str], refusal: str) -> Case:
    """A forward that cannot be added."""
    fields = {"source": source, "target": ",".join(targets)}
    return "addforward", fields, ("forward", "add", source, *targets), "", refusal


def stopping(source: str, targets: list[str], refusal: str) -> Case:
    """A forward that cannot be removed."""
    fields = {"source": source} | ({"target": ",".join(targets)} if targets else {})
    return "delforward", fields, ("forward", "remove", source, *targets), "", refusal


def switching(record: str, state: str, domain: str, refusal: str) -> Case:
    """A record that cannot be switched."""
    return f"{state}{record}", {"domain": domain}, (record, state, domain), "", refusal


CASES = [
    adding("old@example.com", "AlreadyExists"),
    adding("OLD @ Example.COM", "AlreadyExists"),
    adding("a@nowhere.test", "UnknownDomain"),
    adding("a@full.test", "LimitReached"),
    adding("no address", "BadInput"),
    adding("a=b@example.com", "BadInput"),
    adding(".a@example.com", "BadInput"),
    adding("a@example", "BadInput"),
    adding("a@example.com", "BadInput", password="x" * 257),
    adding("a@example.com", "BadInput", password="a\0b"),
    adding("a@example.com", "BadInput", quota="-1"),
    adding("a@example.com", "BadInput", quota="1.5"),
    adding("a@example.com", "BadInput", quota="2147483648"),
    removing("absent@example.com", "NoSuchMailbox"),
    removing("old@nowhere.test", "NoSuchMailbox"),
    removing("|rm", "BadInput"),
    forwarding("x@nowhere.test", ["b@example.net"], "UnknownDomain"),
    forwarding("a@example.com", ["a@example.com"], "ForwardLoop"),
    forwarding("target@example.com", ["source@example.com"], "ForwardLoop"),
    forwarding("a@example.com", MANY, "TooManyTargets"),
    forwarding("@example.com", ["b@example.net"], "BadInput"),
    forwarding("a@example.com", ["b@example.net", "|/bin/sh"], "BadInput"),
    stopping("absent@example.com", [], "NothingStored"),
    stopping("source@nowhere.test", [], "NothingStored"),
    stopping("source@example.com", ["other@example.net"], "NoSuchTarget"),
    stopping("source@example.com", ["target@example.com", "other@example.net"], "NoSuchTarget"),
    stopping("source@example.com", ["no address"], "BadInput"),
    switching("spf", "on", "on.test", "AlreadyInThatState"),
    switching("spf", "off", "example.com", "AlreadyInThatState"),
    switching("dkim", "on", "on.test", "AlreadyInThatState"),
    switching("dkim", "off", "example.com", "AlreadyInThatState"),
    *(
        switching(record, state, "nowhere.test", "UnknownDomain")
        for record in ("spf", "dkim")
        for state in ("on", "off")
    ),
    *(switching(record, state, "nonsense", "BadInput") for record in ("spf", "dkim") for state in ("on", "off")),
]


@pytest.fixture(scope="module")
def settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> config.Settings:
    """One database for all cases: a refusal leaves it as it was."""
    return settings_for(shutil.copytree(sqlite_template, tmp_path_factory.mktemp("parity") / "data"))


@pytest.fixture(scope="module")
def ports(settings: config.Settings) -> Iterator[Ports]:
    """To look into the audit trail."""
    opened = open_ports(Flask("test"), settings)
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def client(settings: config.Settings) -> Iterator[FlaskClient]:
    """HTTP."""
    app = create_app(settings)
    yield app.test_client()
    app.extensions["mailsvc"].store.close()


@pytest.fixture(scope="module")
def world(settings: config.Settings) -> CommandLine:
    """A forward, a domain whose records are on, and an owner who may have no mailbox."""
    cli = CommandLine({"MAILSVC_DATA_DIR": str(settings.data_dir), "MAILSVC_HOSTNAME": settings.hostname})
    for arguments in (
        ("forward", "add", "source@example.com", "target@example.com"),
        ("domain", "add", "on.test", "--owner", "alice"),
        ("spf", "on", "on.test"),
        ("dkim", "on", "on.test"),
        ("user", "add", "small", "--mailbox-limit", "0", "--password-stdin"),
        ("domain", "add", "full.test", "--owner", "small"),
    ):
        assert cli(*arguments, stdin="Small-1\n").text == ""
    return cli


def state(cli: CommandLine) -> list[Any]:
    """Everything that lists show."""
    shown = [cli("domain", "show", name, "--json").rows for name in ("example.com", "on.test")]
    return [*shown, *(cli(noun, "list", "--json").rows for noun in ("user", "domain", "mailbox", "forward"))]


def audited(ports: Ports) -> list[tuple[str, str]]:
    """Dialect and outcome of the last two entries of the audit trail."""
    with ports.store.reading() as unit:
        rows = unit.execute(sa.text("SELECT dialect, outcome FROM audit_entry ORDER BY id DESC LIMIT 2")).all()
    return [(row.dialect, row.outcome) for row in rows]


@pytest.mark.parametrize(
    ("operation", "fields", "arguments", "stdin", "refusal"),
    CASES,
    ids=[f"{operation}-{refusal}-{number}" for number, (operation, _, _, _, refusal) in enumerate(CASES)],
)
def test_both_refuse_alike(
    world: CommandLine,
    client: FlaskClient,
    ports: Ports,
    operation: str,
    fields: dict[str, str],
    arguments: tuple[str, ...],
    stdin: str,
    refusal: str,
) -> None:
    before = state(world)
    assert Panel(client, "root", ROOT_SECRET).post(operation, **fields)["error"] not in (0, 1000, 1002)
    assert world(*arguments, stdin=stdin).refusal
    assert audited(ports) == [("cli", refusal), ("brainycp", refusal)]
    assert state(world) == before


def test_what_one_does_the_other_finds_done(world: CommandLine, client: FlaskClient) -> None:
    panel = Panel(client)
    assert world("mailbox", "add", "new@example.com", "--quota", "0", "--password-stdin", stdin="Box-1\n").text == ""
    assert panel.post("addmail", email="new@example.com", password="Box-1", quota="0")["error"] == 1
    assert panel.post("delmail", email="new@example.com")["error"] == 0
    assert world("mailbox", "remove", "new@example.com").refusal == "there is no mailbox new@example.com"
    assert panel.post("addforward", source="a@example.com", target="b@example.net")["error"] == 0
    assert world("forward", "remove", "a@example.com", "b@example.net").text == ""
    assert panel.post("delforward", source="a@example.com")["error"] == 1
