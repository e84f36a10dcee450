"""Where everything is right ``doctor`` says so, whatever mailsvc itself is doing, and leaves all as it was."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailsvc.doctor.findings import ABSENT, OK, WARNING
from mailsvc.store import files
from tests.doctor.examined import Examined


def test_each_server_is_asked_by_its_own_tool_about_what_is_there(examined: Examined) -> None:
    found = examined.others(OK)
    for kind in ("sqlite", "proxy:sqlite"):
        assert "knows example.org (as user postfix)" in found[f"{kind}:domains.cf"]
        assert "knows @example.org" in found[f"{kind}:catch-all.cf"]
        for name in ("mailboxes", "aliases", "senders"):
            assert "@example.org (as user postfix)" in found[f"{kind}:{name}.cf"]
    assert "with its home" in found["Dovecot user"]
    assert "can log in" in found["Dovecot login"]
    assert "MiB" in found["quota"]
    assert "is refused" in found["quota-status of Postfix"]
    assert "is refused" in found["quota-status of the filter"]
    assert "and verifies" in found["signature"]
    assert found["SOA of example.org"] == found["TXT of example.org"] == "served as it is on file"
    assert found["TXT of mail._domainkey.example.org"] == "served as it is on file"
    assert {
        "rendered configuration",
        "main.cf",
        "dovecot.conf",
        "database files",
        "mail root",
        "schema",
    } <= found.keys()
    assert "ready" in found["service"]
    assert examined.others(ABSENT) == {}


def test_each_finding_is_a_line(examined: Examined) -> None:
    outcome = examined.filtered.host.site.outcome(examined.line())
    assert (outcome.returncode, outcome.stderr) == (0, "")
    lines = outcome.stdout.splitlines()
    assert len(lines) == len(examined.findings())
    assert all(line.startswith(("ok  ", "warning ")) for line in lines)


def test_nothing_is_changed(examined: Examined) -> None:
    before = tree(examined)
    assert examined.failures() == []
    assert tree(examined) == before


def test_a_mailbox_that_never_got_mail_has_no_directory_afterwards(examined: Examined) -> None:
    question = "SELECT incarnation FROM dovecot_user WHERE address LIKE 'small@%'"
    with closing(sqlite3.connect(f"{examined.database.as_uri()}?mode=ro", uri=True)) as connection:
        [[incarnation]] = connection.execute(question).fetchall()
    assert "is refused" in examined.others(OK)["quota-status of Postfix"]
    assert not list((examined.directory / "var/vmail").glob(f"*/{incarnation}"))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_mailsvc_all_else_is_right(examined: Examined, end: str) -> None:
    service = examined.filtered.host.service
    before = set(examined.others(OK))
    getattr(service, end)()
    try:
        found = examined.findings()
        kept = {path: path.stat() for path in (examined.database, *files.companions(examined.database))}
    finally:
        service.start()
    [warning] = [one for one in found if one.verdict != OK]
    assert (warning.check, warning.verdict) == ("service", WARNING)
    assert "mail goes on" in warning.text and warning.mend == "systemctl start mailsvc"
    assert {one.check for one in found if one.verdict == OK} == before - {"service"}
    assert len(kept) == 3


def tree(examined: Examined) -> dict[Path, tuple[int, int, int]]:
    """Mode, owner and group of every file that is not a log, a queue's or a socket's."""
    found = {}
    for part in ("etc", "var/lib", "var/vmail"):
        for directory, names, file_names in os.walk(examined.directory / part):
            for name in (*names, *file_names):
                if name != "__pycache__" and not name.endswith(".pyc"):
                    status = (Path(directory) / name).lstat()
                    found[Path(directory) / name] = (status.st_mode, status.st_uid, status.st_gid)
    return found
