"""The SQLite file and its companions: that other programs' users can read at any time, and write nothing."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailsvc import startup
from mailsvc.app import create_app
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from mailsvc.services.ports import Ports
from mailsvc.store import files
from tests.application import act, settings_for
from tests.servers.process import run_directory
from tests.store.processes import PORTS, child

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can work as two users")


@pytest.fixture(params=[0o022, 0o077, 0o000], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the service is started with."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def here(sqlite_template: Path) -> Iterator[Path]:
    """A data directory that has room for another user's group, with the database of ``fill`` in it."""
    with run_directory("files") as directory:
        shutil.copytree(sqlite_template, directory / "data")
        yield directory / "data"


def ports_on(directory: Path) -> Ports:
    ports: Ports = create_app(settings_for(directory)).extensions["mailsvc"]
    return ports


def modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o7777 for path in directory.glob("*sqlite3*")}


ALL_THREE = {"mailsvc.sqlite3": 0o640, "mailsvc.sqlite3-wal": 0o640, "mailsvc.sqlite3-shm": 0o660}


def test_the_data_directory_is_made_for_its_group(tmp_path: Path, umask: None) -> None:
    settings = settings_for(tmp_path / "data")
    startup.make_data_dir(settings)
    assert settings.data_dir.stat().st_mode & 0o7777 == 0o750


def test_the_first_start_makes_files_that_the_group_can_read(tmp_path: Path, umask: None) -> None:
    settings = settings_for(tmp_path)
    startup.prepare(create_app(settings))
    assert modes(tmp_path) == ALL_THREE
    assert settings.key_file.stat().st_mode & 0o7777 == 0o600


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    startup.make_data_dir(settings_for(tmp_path))
    assert tmp_path.stat().st_mode & 0o7777 == 0o2750
    assert list(tmp_path.iterdir()) == []


def test_the_modes_hold_while_the_service_works(here: Path, umask: None) -> None:
    ports = ports_on(here)
    with ports.store.writing(), ports.store.reading():
        assert modes(here) == ALL_THREE
    ports.store.close()


def test_companions_are_put_back_after_the_last_connection(here: Path, umask: None) -> None:
    ports = ports_on(here)
    with ports.store.reading():
        pass
    ports.store.close()
    assert set(modes(here)) == {"mailsvc.sqlite3"}, "else this test shows nothing"
    files.make_readable(here / "mailsvc.sqlite3")
    assert modes(here) == ALL_THREE


def test_making_readable_mends_modes_and_leaves_contents(here: Path) -> None:
    ports = ports_on(here)
    with ports.store.reading():
        mailboxes.add(ports, act(), address=mailbox_address("info@example.com"), password="Box-1", quota_mib=0)
        there = {path.name: path.read_bytes() for path in here.glob("*sqlite3*")}
        for path in here.glob("*sqlite3*"):
            path.chmod(0o600)
        files.make_readable(here / "mailsvc.sqlite3")
        assert modes(here) == ALL_THREE
        assert {path.name: path.read_bytes() for path in here.glob("*sqlite3*")} == there
    ports.store.close()


NOBODY = pwd.getpwnam("nobody")

READS = """
import os, sqlite3, sys
from contextlib import closing

path, gid, uid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
with closing(sqlite3.connect(path, timeout=0)) as connection:
    print(*(address for (address,) in connection.execute("SELECT address FROM postfix_mailbox ORDER BY 1")))
    try:
        connection.execute("DELETE FROM mailbox")
    except sqlite3.OperationalError as error:
        print(error)
"""
"""A look-up as Postfix makes it: as a user without rights of writing and without any patience."""


def read_as_nobody(database: Path) -> list[str]:
    """The mailboxes that user nobody finds, and what becomes of his attempt to change something."""
    arguments = [str(database), str(NOBODY.pw_gid), str(NOBODY.pw_uid)]
    printed = subprocess.check_output([sys.executable, "-c", READS, *arguments], text=True)
    return printed.splitlines()


def found(*addresses: str) -> list[str]:
    return [" ".join(addresses), "attempt to write a readonly database"]


@pytest.fixture
def shared(here: Path) -> Path:
    """The same with the group of nobody, as an administrator would arrange it."""
    for path in (here, *here.iterdir()):
        os.chown(path, -1, NOBODY.pw_gid)
    here.chmod(0o2750)
    return here


@as_root
def test_another_user_reads_while_the_service_works(shared: Path) -> None:
    ports = ports_on(shared)
    database = shared / "mailsvc.sqlite3"
    with ports.store.reading():
        assert read_as_nobody(database) == found("old@example.com")
        mailboxes.add(ports, act(), address=mailbox_address("info@example.com"), password="Box-1", quota_mib=0)
        assert read_as_nobody(database) == found("info@example.com", "old@example.com")
    with ports.store.writing():
        assert read_as_nobody(database) == found("info@example.com", "old@example.com")
    ports.store.close()


@as_root
def test_another_user_reads_after_the_start_and_before_the_first_request(shared: Path) -> None:
    startup.prepare(create_app(settings_for(shared)))
    assert read_as_nobody(shared / "mailsvc.sqlite3") == found("old@example.com")


@as_root
def test_another_user_reads_after_the_service_has_ended(shared: Path) -> None:
    ports = ports_on(shared)
    mailboxes.add(ports, act(), address=mailbox_address("info@example.com"), password="Box-1", quota_mib=0)
    ports.store.close()
    files.make_readable(shared / "mailsvc.sqlite3")
    for _ in range(2):
        assert read_as_nobody(shared / "mailsvc.sqlite3") == found("info@example.com", "old@example.com")


HOLDS = f"""{PORTS}
from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from tests.application import act

mailboxes.add(ports, act(), address=mailbox_address("info@example.com"), password="Box-1", quota_mib=0)
with ports.store.writing() as unit:
    unit.exec_driver_sql("DELETE FROM mailbox")
    print("ready", flush=True)
    sys.stdin.readline()
"""


@as_root
def test_another_user_reads_after_the_service_was_killed(shared: Path) -> None:
    with child(settings_for(shared), HOLDS) as service:
        assert service.line() == "ready"
        service.kill()
    assert read_as_nobody(shared / "mailsvc.sqlite3") == found("info@example.com", "old@example.com")


def open_and_close(directory: Path) -> None:
    ports = ports_on(directory)
    mailboxes.add(ports, act(), address=mailbox_address("info@example.com"), password="Box-1", quota_mib=0)
    ports.store.close()
    files.make_readable(directory / "mailsvc.sqlite3")


def prepare(directory: Path) -> None:
    startup.prepare(create_app(settings_for(directory)))


@as_root
@pytest.mark.parametrize("command", [open_and_close, prepare])
def test_a_command_of_root_takes_nothing_away_from_the_service(here: Path, command: Callable[[Path], None]) -> None:
    """The service is a user of its own, with the mail servers in its group. Root may run a command while it is down."""
    service = (NOBODY.pw_uid, 12345)
    for path in (here, *here.iterdir()):
        os.chown(path, *service)
    command(here)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in here.glob("*sqlite3*")} == {service}
