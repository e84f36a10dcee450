"""``backup`` and ``restore``: a copy while serving, and back, also while serving."""

import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

import config
from tests.cli.command_line import CommandLine
from tests.service.calling import addmail, mailboxes, perform
from tests.service.running import Service, serving, wait_until

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def beside(service: Service) -> CommandLine:
    """The command line of a running service."""
    ours = {name: value for name, value in service.environ.items() if name.startswith(config.PREFIX)}
    return CommandLine(ours)


def addresses(database: Path) -> set[str]:
    """The mailboxes in a database file."""
    with closing(sqlite3.connect(database)) as connection:
        return {address for (address,) in connection.execute("SELECT address FROM mailbox")}


def kept(data_dir: Path) -> list[Path]:
    """The copies of what was replaced."""
    return sorted(data_dir.glob("mailsvc.sqlite3.replaced-*"))


@pytest.fixture
def service(sqlite_template: Path, tmp_path: Path) -> Iterator[Service]:
    """A service of this test's own."""
    with serving(shutil.copytree(sqlite_template, tmp_path / "data")) as running:
        yield running


# With a service


def test_a_backup_under_load_is_of_one_moment(service: Service, tmp_path: Path) -> None:
    """It has everything acknowledged before it began, and nothing that was never asked for."""
    copy = tmp_path / "copy.sqlite3"
    acknowledged: set[str] = set()
    asked = [f"box{number}@example.com" for number in range(60)]

    def add(address: str) -> None:
        if addmail(service, address)["error"] == 0:
            acknowledged.add(address)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(add, address) for address in asked]
        wait_until(lambda: len(acknowledged) >= 10, "some mailboxes")
        before = set(acknowledged)
        said = beside(service)("backup", str(copy)).text
        assert not all(future.done() for future in calls)
        for future in calls:
            future.result()
    assert acknowledged == set(asked)
    assert said.startswith(f"The database was copied to {copy} and verified.\n")
    assert f"The key file {service.data_dir / 'secret.keys'} is not part of the copy" in said
    assert before | {"old@example.com"} <= addresses(copy) <= acknowledged | {"old@example.com"}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*copy*")] == ["copy.sqlite3"]
    assert mailboxes(service) == acknowledged | {"old@example.com"}


def test_a_copy_comes_up_in_a_fresh_directory(service: Service, tmp_path: Path) -> None:
    perform(service, "addmail", email="new@example.com", password="Box-1", quota="7")
    perform(service, "addforward", source="a@example.com", target="b@example.net", save_local="1")
    perform(service, "ondkim", domain="example.com")
    lists = {name: perform(service, name) for name in ("getlistmail", "getforwardmail")}
    copy = tmp_path / "copy.sqlite3"
    assert beside(service)("backup", str(copy)).text
    with serving(tmp_path / "fresh") as fresh:
        assert fresh.stop() == 0
        shutil.copy(service.data_dir / "secret.keys", fresh.data_dir)
        said = beside(fresh)("restore", str(copy)).text
        (replaced,) = kept(fresh.data_dir)
        assert said.startswith(f"{copy} is in place. What was there before is kept in {replaced}\n")
        assert f"The key file {fresh.data_dir / 'secret.keys'} is not part of the copy" in said
    with serving(fresh.data_dir) as again:
        assert {name: perform(again, name) for name in lists} == lists
        assert [len(reply["data"]) for reply in lists.values()] == [2, 1]
        assert perform(again, "ondkim", domain="example.com")["error"] == 3


def test_a_copy_comes_up_while_serving(service: Service, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    cli = beside(service)
    addmail(service, "kept@example.com")
    assert cli("backup", str(copy)).text
    addmail(service, "later@example.com")
    perform(service, "delmail", email="kept@example.com")
    assert cli("restore", str(copy)).text
    # Every process sees it at once, and goes on.
    for worker in service.all_workers():
        with service.only(worker):
            assert mailboxes(service) == {"old@example.com", "kept@example.com"} == addresses(copy)
    (replaced,) = kept(service.data_dir)
    assert addresses(replaced) == {"old@example.com", "later@example.com"}
    assert stat.S_IMODE(replaced.stat().st_mode) == 0o600
    assert addmail(service, "after@example.com")["error"] == 0
    assert service.stop() == 0
    with serving(service.data_dir) as again:
        assert mailboxes(again) == {"old@example.com", "kept@example.com", "after@example.com"}


def test_a_restore_under_load_loses_nothing_acknowledged_after_it(service: Service, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    cli = beside(service)
    assert cli("backup", str(copy)).text
    done: list[tuple[str, int]] = []

    def add(number: int) -> None:
        address = f"box{number}@example.com"
        done.append((address, addmail(service, address)["error"]))

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(add, number) for number in range(60)]
        wait_until(lambda: len(done) >= 10, "some mailboxes")
        assert cli("restore", str(copy)).text
        after = len(done)
        for future in calls:
            future.result()
    (replaced,) = kept(service.data_dir)
    stored = mailboxes(service)
    assert {address for address, code in done[after + 4 :] if code == 0} <= stored
    # What was acknowledged is in one of the two: in what was replaced, or in what came after.
    assert {address for address, code in done if code == 0} <= stored | addresses(replaced)
    assert "old@example.com" in stored


# What is refused


def without(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def scrambled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 9] = bytes(4096 * 6)
    path.write_bytes(content)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "absent": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"not a database\n" * 1000),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:40_000]),
    "scrambled": scrambled,
    "newer": lambda path: without(path, "UPDATE alembic_version SET version_num = '9999'"),
    "of another program": lambda path: without(path, "DROP TABLE alembic_version"),
    "not whole": lambda path: without(path, "UPDATE mailbox SET domain_id = 9999"),
}


@SQLITE
@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_copy_replaces_nothing(
    cli: CommandLine, settings: config.Settings, tmp_path: Path, fault: str
) -> None:
    copy = tmp_path / "copy"
    assert cli("backup", str(copy)).text
    UNUSABLE[fault](copy)
    cli("mailbox", "add", "new@example.com", "--quota", "0", "--password-stdin", stdin="Box-1\n")
    before = sorted(path.name for path in settings.data_dir.iterdir())
    assert cli("restore", str(copy)).refusal
    assert sorted(path.name for path in settings.data_dir.iterdir()) == before
    assert settings.database_file and addresses(settings.database_file) == {"old@example.com", "new@example.com"}


@SQLITE
def test_what_is_not_a_copy_is_not_overwritten(cli: CommandLine, settings: config.Settings, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear reader")
    assert "nothing was overwritten" in cli("backup", str(tmp_path / "letter")).refusal
    assert (tmp_path / "letter").read_text() == "Dear reader"
    assert settings.database_file
    for live in (settings.database_file, settings.data_dir / "mailsvc.sqlite3-wal"):
        before = live.read_bytes()
        assert cli("backup", str(live)).refusal
        assert cli("restore", str(live)).refusal
        assert live.read_bytes() == before
    (tmp_path / "link").symlink_to(settings.database_file)
    assert cli("backup", str(tmp_path / "link")).refusal
    assert "No such file" in cli("backup", str(tmp_path / "absent" / "copy")).refusal
    assert cli("backup", str(tmp_path)).status == 2
    assert cli("backup", "/dev/null").refusal
    assert cli("mailbox", "list", "--json").rows[0]["address"] == "old@example.com"


@SQLITE
def test_a_copy_may_take_the_place_of_an_older_one(cli: CommandLine, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert cli("backup", str(copy)).text
    cli("mailbox", "add", "new@example.com", "--quota", "0", "--password-stdin", stdin="Box-1\n")
    assert cli("backup", str(copy)).text
    assert addresses(copy) == {"old@example.com", "new@example.com"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "copy"))] == ["copy"]


@SQLITE
def test_a_restored_switch_is_made_true_in_dns(cli: CommandLine, settings: config.Settings, tmp_path: Path) -> None:
    zones = settings.data_dir / "zones"
    dns = cli.with_settings(DNS="zonefile", ZONEFILE_DIR=str(zones))
    assert dns("spf", "on", "example.com").text == ""
    assert dns("backup", str(tmp_path / "copy")).text
    dns("spf", "off", "example.com")
    dns("dkim", "on", "example.com")
    assert "DNS record example.com: settled\n" in dns("restore", str(tmp_path / "copy")).text
    lines = (zones / "example.com.zone").read_text().splitlines()
    assert [line for line in lines if not line.startswith(";")] == ['example.com. 300 IN TXT "v=spf1 mx ~all"']


@SQLITE
def test_a_damaged_database_says_what_to_do(cli: CommandLine, settings: config.Settings, tmp_path: Path) -> None:
    assert cli("backup", str(tmp_path / "copy")).text
    assert settings.database_file
    settings.database_file.write_bytes(b"not a database\n" * 1000)
    done = cli("restore", str(tmp_path / "copy"))
    if done.status == 0:
        assert addresses(settings.database_file) == {"old@example.com"}
    else:
        assert "move" in done.refusal


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_postgresql_has_tools_of_its_own(cli: CommandLine, tmp_path: Path, command: str) -> None:
    assert cli(command, str(tmp_path / "copy")).refusal == ("the database is on PostgreSQL: use pg_dump and pg_restore")
