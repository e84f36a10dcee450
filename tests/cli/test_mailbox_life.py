"""``mailbox list --removed``, ``mailbox restore``, ``mailhost purge``: how long a removed mailbox is still there."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

import config
from mailsvc.mailhost.homes import maildir
from mailsvc.services.ports import Ports
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
def cli(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """With a mail root of this test's own."""
    (tmp_path / "mail").mkdir()
    return cli.with_settings(MAIL_ROOT=str(tmp_path / "mail"))


def dovecot(ports: Ports) -> list[tuple[object, ...]]:
    """What Dovecot sees of all mailboxes."""
    with ports.store.reading() as unit:
        return [tuple(row) for row in unit.execute(sa.text("SELECT * FROM dovecot_user ORDER BY address"))]


def test_what_was_removed_over_http_is_listed_and_restored(cli: CommandLine, client: FlaskClient, ports: Ports) -> None:
    assert cli("mailbox", "list", "--removed", "--json").rows == []
    before = dovecot(ports)
    assert Panel(client).post("delmail", email="old@example.com")["error"] == 0
    assert dovecot(ports) == []
    [row] = cli("mailbox", "list", "--removed", "--json").rows
    removed, until = (datetime.fromisoformat(row.pop(name)) for name in ("removed_at", "kept_until"))
    assert row == {"address": "old@example.com", "quota_mib": 0} and until - removed == timedelta(days=7)
    head, line = cli("mailbox", "list", "--removed", "--domain", "example.com").text.splitlines()
    assert head.split() == ["address", "quota_mib", "removed_at", "kept_until"]
    assert line.split()[0] == "old@example.com"
    assert cli("mailbox", "list", "--removed", "--domain", "bob.test").text == ""
    assert cli("mailbox", "restore", " OLD@Example.com ").text == ""
    assert dovecot(ports) == before
    assert cli("mailbox", "list", "--removed").text == ""


def test_what_cannot_be_restored_is_said_why(cli: CommandLine) -> None:
    nothing = "no removed mailbox old@example.com can be brought back"
    assert cli("mailbox", "restore", "old@example.com").refusal == nothing
    cli("mailbox", "remove", "old@example.com")
    cli("mailbox", "add", "old@example.com", "--quota", "0", "--password-stdin", stdin="Box-2\n")
    assert cli("mailbox", "restore", "old@example.com").refusal == "old@example.com is there already"
    cli("domain", "remove", "example.com")
    assert cli("mailbox", "restore", "old@example.com").refusal == "there is no domain example.com"
    cli("domain", "add", "example.com", "--owner", "bob")
    assert cli("mailbox", "restore", "old@example.com").refusal == nothing
    assert cli("mailbox", "restore", "nonsense").refusal == "not a usable address"


def test_changes_are_seen_by_dovecot_at_once(cli: CommandLine, ports: Ports) -> None:
    [(_, hash_before, *rest)] = dovecot(ports)
    assert rest[0] == 1 and rest[2] == 0
    cli("mailbox", "quota", "old@example.com", "3")
    cli("mailbox", "disable", "old@example.com")
    cli("mailbox", "passwd", "old@example.com", "--password-stdin", stdin="Box-3\n")
    [(_, hash_after, enabled, home, quota)] = dovecot(ports)
    assert (enabled, home, quota) == (0, rest[1], 3 * 1024 * 1024)
    assert hash_after != hash_before
    cli("mailbox", "enable", "old@example.com")
    assert dovecot(ports)[0][2] == 1


@SQLITE
def test_mail_is_purged_when_its_time_is_over(cli: CommandLine, settings: config.Settings, ports: Ports) -> None:
    root = Path(cli.environ["MAILSVC_MAIL_ROOT"])
    incarnation, stray = str(dovecot(ports)[0][3]), "5a" * 16
    for name in (incarnation, stray):
        maildir(root, name).mkdir(parents=True)
    cli("mailbox", "remove", "old@example.com")
    stay = "1 directories belong to no mailbox of this database, as after the restore of an older backup. "
    assert cli("mailhost", "purge").text == f"{stay}They stay until `mailhost purge --orphans`.\n"
    assert maildir(root, incarnation).exists()
    assert settings.database_file
    with closing(sqlite3.connect(settings.database_file)) as connection:
        connection.execute("UPDATE removed_mailbox SET removed_at = removed_at - 8 * 86400000")
        connection.commit()
    assert cli("mailhost", "purge").text.startswith(f"old@example.com ({incarnation}): purged\n")
    assert not maildir(root, incarnation).exists() and maildir(root, stray).exists()
    assert "They stay" in cli("mailhost", "purge", "--orphans").text, "changed just now"
    soon = cli.with_settings(PURGE_AFTER_DAYS="0")
    assert soon("mailhost", "purge", "--orphans").text == f"unknown mailbox ({stray}): purged\n"
    assert not maildir(root, stray).exists()


@SQLITE
def test_what_cannot_be_purged_is_named(cli: CommandLine, ports: Ports, tmp_path: Path) -> None:
    root, incarnation = Path(cli.environ["MAILSVC_MAIL_ROOT"]), str(dovecot(ports)[0][3])
    maildir(root, incarnation).parent.parent.mkdir(parents=True)
    maildir(root, incarnation).parent.symlink_to(tmp_path)
    cli("mailbox", "remove", "old@example.com")
    done = cli.with_settings(PURGE_AFTER_DAYS="0")("mailhost", "purge")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"mailsvc: old@example.com ({incarnation}) is still there: ")
    absent = cli.with_settings(MAIL_ROOT=str(tmp_path / "absent"))
    assert absent("mailhost", "purge").refusal == f"{tmp_path / 'absent'}: No such file or directory"
