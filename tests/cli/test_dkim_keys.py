"""``dkim rotate``, ``add`` and ``remove``, and ``domain check``, with PowerDNS on this very database."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

import config
from mailsvc.cli import dkim_keys
from mailsvc.services import dkim_rotation
from tests.cli.command_line import CommandLine
from tests.servers.powerdns import powerdns

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def cli(cli: CommandLine, settings: config.Settings) -> Iterator[CommandLine]:
    """Asking a PowerDNS that serves the database."""
    assert settings.database_file
    with powerdns(settings.database_file) as server:
        yield cli.with_settings(RESOLVER=f"{server.host}:{server.port}")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage of a rotation lasts longer than it takes."""
    monkeypatch.setattr(dkim_rotation, "SETTLING", timedelta(0))
    monkeypatch.setattr(dkim_rotation, "GRACE", timedelta(0))
    monkeypatch.setattr(dkim_keys, "POLL", 0.0)


def keys(cli: CommandLine) -> dict[str, str]:
    """What each key does, by selector."""
    rows = cli("domain", "show", "example.com", "--json").rows
    return {row["name"].split(".")[0]: row["note"] for row in rows if row["purpose"] == "DKIM"}


def test_a_rotation_is_begun_shown_and_gone_on_with(cli: CommandLine) -> None:
    assert "`dkim on` makes the first one" in cli("dkim", "rotate", "example.com").refusal
    cli("dkim", "on", "example.com")
    assert cli("dkim", "rotate", "example.com").text == ""
    old, new = keys(cli)
    assert (old, bool(re.fullmatch("mail-[0-9]{8}", new))) == ("mail", True)
    assert keys(cli)[new].startswith("new: signs after ")
    assert f"{new}._domainkey.example.com, on (new: signs after " in cli("domain", "show", "example.com").text
    assert "`dkim rotate --continue`" in cli("dkim", "rotate", "example.com").refusal
    for arguments in (("--continue",), ("example.com", "--continue")):
        assert cli("dkim", "rotate", *arguments).text == "", "nothing is due yet"
    assert cli("dkim", "rotate", "new.test").refusal == "there is no domain new.test"


def test_a_rotation_can_be_waited_for(cli: CommandLine, quick: None) -> None:
    cli("dkim", "on", "example.com")
    line = cli("dkim", "rotate", "example.com", "--wait").text
    assert re.fullmatch(r"example\.com: mail-[0-9]{8} signs\n", line)
    assert cli("dkim", "rotate", "--continue").text == "example.com: mail withdrawn\n"
    assert list(keys(cli).values()) == [""]


def test_what_dns_does_not_show_waits(cli: CommandLine, quick: None) -> None:
    cli("dkim", "on", "example.com")
    cli("dkim", "rotate", "example.com")
    done = cli.with_settings(RESOLVER="127.0.0.1:1")("dkim", "rotate", "--continue")
    assert done.status == 1 and re.match(r"example\.com: mail-[0-9]{8} waits: ", done.out)
    assert cli("dkim", "rotate", "--continue").text.endswith(" signs\n")


def test_a_key_for_another_algorithm(cli: CommandLine, quick: None) -> None:
    cli("dkim", "on", "example.com")
    add = ("dkim", "add", "example.com", "--algorithm", "ed25519")
    assert cli(*add).text == ""
    assert cli("dkim", "rotate", "--continue").text.endswith("-ed25519 signs\n")
    assert cli(*add).refusal == "a key for ed25519 of example.com is there already"
    assert len(keys(cli)) == 2
    assert cli("dkim", "remove", "example.com", "--algorithm", "ed25519").text == ""
    assert cli("dkim", "rotate", "--continue").text.endswith("-ed25519 withdrawn\n")
    assert list(keys(cli)) == ["mail"]
    assert cli("dkim", "remove", "example.com", "--algorithm", "rsa").status == 1


def test_a_check_says_what_is_right_and_what_is_not(cli: CommandLine) -> None:
    cli("dkim", "on", "example.com")
    done = cli("domain", "check", "example.com")
    assert (done.status, done.err) == (1, "")
    assert "DKIM of mail._domainkey.example.com: ok\n" in done.out
    assert "MX of example.com: ok\n" in done.out and "DMARC of _dmarc.example.com: ok\n" in done.out
    assert "SPF of example.com: missing (no SPF record)\n" in done.out
    assert '  to do    example.com. 300 IN TXT "v=spf1 mx ~all"\n' in done.out
    rows = {row["purpose"]: row for row in json.loads(cli("domain", "check", "example.com", "--json").out)}
    assert (rows["SPF"]["verdict"], rows["DKIM"]["verdict"]) == ("missing", "ok")
    assert rows["address"]["verdict"] == "unanswered", "PowerDNS knows nothing of the host's zone"
    assert cli("domain", "check", "new.test").refusal == "there is no domain new.test"
