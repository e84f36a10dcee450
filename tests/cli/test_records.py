"""``spf``, ``dkim``, ``reconcile``: the switches, and what is done about those that a crash left half way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import config
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

SPF = 'example.com. 300 IN TXT "v=spf1 mx ~all"'


def published(cli: CommandLine) -> dict[str, bool]:
    """Which of the records of example.com are on."""
    return {row["purpose"]: row["published"] for row in cli("domain", "show", "example.com", "--json").rows}


@pytest.mark.parametrize(("name", "purpose"), [("spf", "SPF"), ("dkim", "DKIM")])
def test_a_record_is_switched_on_and_off(cli: CommandLine, client: FlaskClient, name: str, purpose: str) -> None:
    assert cli(name, "off", "example.com").refusal == "that is so already for example.com"
    assert cli(name, "on", " Example.COM. ").text == ""
    assert published(cli)[purpose] is True
    assert cli(name, "on", "example.com").refusal == "that is so already for example.com"
    assert Panel(client).post(f"on{name}", domain="example.com")["error"] == 3
    assert cli(name, "off", "example.com").text == ""
    assert published(cli)[purpose] is False
    assert Panel(client).post(f"on{name}", domain="example.com")["error"] == 0
    assert published(cli)[purpose] is True


@SQLITE
def test_the_key_outlives_its_record(cli: CommandLine) -> None:
    def line() -> str:
        (found,) = [row for row in cli("domain", "show", "example.com", "--json").rows if row["purpose"] == "DKIM"]
        return str(found["zone_line"])

    cli("dkim", "on", "example.com")
    first = line()
    cli("dkim", "off", "example.com")
    cli("dkim", "on", "example.com")
    assert line() == first


@SQLITE
@pytest.mark.parametrize("name", ["spf", "dkim"])
@pytest.mark.parametrize("state", ["on", "off"])
def test_a_domain_that_is_not_there_is_named(cli: CommandLine, name: str, state: str) -> None:
    assert cli(name, state, "new.test").refusal == "there is no domain new.test"
    assert cli(name, state, "nonsense").refusal == "not a usable domain"


# With a back-end that can fail


def zone_files(cli: CommandLine, settings: config.Settings, reload: str = "true") -> CommandLine:
    """Publishing through include files, with that reload command."""
    return cli.with_settings(DNS="zonefile", ZONEFILE_DIR=str(settings.data_dir / "zones"), ZONEFILE_RELOAD=reload)


def records(settings: config.Settings) -> list[str]:
    """What a name server would read of example.com."""
    lines = (settings.data_dir / "zones" / "example.com.zone").read_text().splitlines()
    return [line for line in lines if not line.startswith(";")]


@SQLITE
def test_a_failing_name_server_is_named_and_nothing_changes(cli: CommandLine, settings: config.Settings) -> None:
    failing = zone_files(cli, settings, "sh -c 'echo no such zone; exit 3'")
    line = failing("spf", "on", "example.com").refusal
    assert line == "DNS did not take the change of example.com: the reload command ended with status 3: no such zone"
    assert not any(published(failing).values()) and records(settings) == []
    working = zone_files(cli, settings)
    assert working("spf", "on", "example.com").text == ""
    assert "status 3" in failing("spf", "off", "example.com").refusal
    assert "status 3" in failing("domain", "remove", "example.com").refusal
    assert published(failing)["SPF"] is True and records(settings) == [SPF]


def interrupted(settings: config.Settings, *, enabled: bool, lease: int = 0) -> None:
    """The database as a crash leaves it in the middle of a change: unsettled, its lease over in ``lease`` ms."""
    assert settings.database_file
    with closing(sqlite3.connect(settings.database_file)) as connection:
        connection.execute(
            "UPDATE dns_record SET settled = 0, enabled = ?, busy_until = unixepoch() * 1000 + ?",
            [enabled, lease - 1000],
        )
        connection.commit()


@SQLITE
def test_with_nothing_to_do_reconcile_says_nothing(cli: CommandLine) -> None:
    cli("spf", "on", "example.com")
    assert cli("reconcile").text == ""


@SQLITE
def test_reconcile_withdraws_what_was_never_acknowledged(cli: CommandLine, settings: config.Settings) -> None:
    dns = zone_files(cli, settings)
    dns("spf", "on", "example.com")
    interrupted(settings, enabled=False)
    assert dns("reconcile").text == "example.com: withdrawn\n"
    assert records(settings) == []
    assert dns("reconcile").text == ""
    assert dns("spf", "off", "example.com").refusal == "that is so already for example.com"


@SQLITE
def test_reconcile_publishes_what_was_never_taken_back(cli: CommandLine, settings: config.Settings) -> None:
    dns = zone_files(cli, settings)
    dns("dkim", "on", "example.com")
    (before,) = records(settings)
    (settings.data_dir / "zones" / "example.com.zone").unlink()
    interrupted(settings, enabled=True)
    assert dns("reconcile").text == "mail._domainkey.example.com: published\n"
    assert records(settings) == [before]


@SQLITE
def test_reconcile_leaves_a_change_under_way_alone(cli: CommandLine, settings: config.Settings) -> None:
    dns = zone_files(cli, settings)
    dns("spf", "on", "example.com")
    interrupted(settings, enabled=False, lease=3_600_000)
    done = dns("reconcile")
    assert (done.status, done.err) == (0, "")
    (line,) = done.text.splitlines()
    assert line.startswith("example.com: left alone")
    assert records(settings) == [SPF]


@SQLITE
def test_reconcile_that_cannot_says_so_in_one_clear_line(cli: CommandLine, settings: config.Settings) -> None:
    zone_files(cli, settings)("spf", "on", "example.com")
    interrupted(settings, enabled=False)
    done = zone_files(cli, settings, "false")("reconcile")
    assert done.status == 1
    (line,) = done.err.splitlines()
    assert line.startswith("mailsvc: ") and "example.com" in line and "ended with status 1" in line
    assert zone_files(cli, settings)("reconcile").text == "example.com: withdrawn\n"


@SQLITE
def test_a_switch_settles_what_was_interrupted_first(cli: CommandLine, settings: config.Settings) -> None:
    dns = zone_files(cli, settings)
    dns("spf", "on", "example.com")
    interrupted(settings, enabled=False)
    another = dns.with_settings(SPF="v=spf1 -all")
    assert another("spf", "on", "example.com").text == ""
    assert records(settings) == ['example.com. 300 IN TXT "v=spf1 -all"']
    assert published(another)["SPF"] is True


@SQLITE
def test_a_wrong_back_end_is_one_clear_line(cli: CommandLine, tmp_path: Path) -> None:
    assert cli.with_settings(DNS="rfc2136")("spf", "on", "example.com").refusal.startswith("MAILSVC_RFC2136_SERVER: ")
    (tmp_path / "file").touch()
    dns = cli.with_settings(DNS="zonefile", ZONEFILE_DIR=str(tmp_path / "file"))
    assert "cannot be written: Not a directory" in dns("spf", "on", "example.com").refusal
    unreachable = {"RFC2136_SERVER": "127.0.0.1:1", "RFC2136_KEY_NAME": "key", "RFC2136_KEY_SECRET": "c2VjcmV0"}
    line = cli.with_settings(DNS="rfc2136", **unreachable)("spf", "on", "example.com").refusal
    assert line.startswith("DNS did not take the change of example.com: ") and "c2VjcmV0" not in line
