"""Include files: their form, their safety, and that real name servers load them."""

import fcntl
import os
import resource
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed
from mailsvc.dns.zonefile import ZoneFiles
from tests.servers.bind import bind
from tests.servers.knot import NameServer, knot

DOMAIN = "example.com"
SPF = TxtRecord(DOMAIN, DOMAIN, "v=spf1 mx ~all")
OTHER_SPF = TxtRecord(DOMAIN, DOMAIN, "v=spf1 a -all")
DKIM = TxtRecord(DOMAIN, f"mail._domainkey.{DOMAIN}", "v=DKIM1; k=rsa; p=" + "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8A" * 22)
SHOP = TxtRecord("shop.example.com", "shop.example.com", "v=spf1 mx ~all")


def zone_files(directory: Path, reload: str | None = None, time_limit: float = 5.0) -> ZoneFiles:
    environ = {"MAILSVC_DNS": "zonefile", "MAILSVC_ZONEFILE_DIR": str(directory)}
    if reload is not None:
        environ["MAILSVC_ZONEFILE_RELOAD"] = reload
    return ZoneFiles(config.load(environ), time_limit)


def script(text: str) -> str:
    """A reload command: a shell script that gets the domain as its ``$1``."""
    return f"sh -c {shlex.quote(text)} reload {{domain}}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "zones"


@pytest.fixture
def file(directory: Path) -> Path:
    return directory / f"{DOMAIN}.zone"


@pytest.fixture
def files(directory: Path) -> ZoneFiles:
    return zone_files(directory)


def lines(file: Path) -> list[str]:
    """The lines that are not comments."""
    return [line for line in file.read_text().splitlines() if not line.startswith(";")]


def refusal(change: Callable[[TxtRecord], None], record: TxtRecord) -> str:
    """The reason with which ``change`` is refused."""
    with pytest.raises(PublishFailed) as refused:
        change(record)
    assert refused.value.facts["name"] == record.name
    return str(refused.value.facts["reason"])


def test_a_file_says_who_writes_it_and_holds_our_records_in_stable_order(tmp_path: Path) -> None:
    texts = []
    for number, order in enumerate([(SPF, DKIM), (DKIM, SPF)]):
        for record in order:
            zone_files(tmp_path / str(number)).publish(record)
        texts.append((tmp_path / str(number) / f"{DOMAIN}.zone").read_text())
    assert texts[0] == texts[1]
    header, *rest = texts[0].splitlines()
    assert "mailsvc writes this file" in header
    assert "Edits are lost" in rest[0]
    assert rest[1:] == [SPF.zone_line, DKIM.zone_line]


def test_the_data_directory_has_a_place_for_them(tmp_path: Path) -> None:
    ZoneFiles(config.load({"MAILSVC_DATA_DIR": str(tmp_path)})).publish(SPF)
    assert lines(tmp_path / "zones" / f"{DOMAIN}.zone") == [SPF.zone_line]


def test_the_name_server_may_read_whatever_the_umask_is(files: ZoneFiles, directory: Path, file: Path) -> None:
    before = os.umask(0o077)
    try:
        files.publish(SPF)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_the_service_can_use(tmp_path: Path, files: ZoneFiles, directory: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    files.publish(SPF)
    for made in (directory, directory / ".lock"):
        assert (made.stat().st_uid, made.stat().st_gid) == (12345, 12346)


def test_each_domain_has_its_own_file(files: ZoneFiles, directory: Path) -> None:
    files.publish(SPF)
    files.publish(SHOP)
    assert lines(directory / "example.com.zone") == [SPF.zone_line]
    assert lines(directory / "shop.example.com.zone") == [SHOP.zone_line]


def test_a_new_value_takes_the_place_of_the_old_one(files: ZoneFiles, file: Path) -> None:
    for record in (SPF, DKIM, OTHER_SPF):
        files.publish(record)
    assert lines(file) == [OTHER_SPF.zone_line, DKIM.zone_line]


def test_nothing_is_written_when_nothing_changes(files: ZoneFiles, file: Path) -> None:
    files.publish(SPF)
    before = file.stat().st_mtime_ns
    files.publish(SPF)
    files.withdraw(OTHER_SPF)
    assert file.stat().st_mtime_ns == before


def test_exactly_the_given_record_is_withdrawn(files: ZoneFiles, file: Path) -> None:
    files.publish(SPF)
    files.publish(DKIM)
    files.withdraw(OTHER_SPF)
    assert lines(file) == [SPF.zone_line, DKIM.zone_line]
    files.withdraw(SPF)
    files.withdraw(SPF)
    assert lines(file) == [DKIM.zone_line]


def test_a_file_never_vanishes(files: ZoneFiles, file: Path) -> None:
    files.withdraw(SPF)
    header = file.read_text()
    assert header.startswith(";") and lines(file) == []
    files.publish(SPF)
    files.withdraw(SPF)
    assert file.read_text() == header


def test_an_empty_file_made_ahead_is_used(files: ZoneFiles, file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    files.publish(SPF)
    assert lines(file) == [SPF.zone_line]


def test_the_draft_of_a_crashed_writer_is_not_in_the_way(files: ZoneFiles, directory: Path, file: Path) -> None:
    directory.mkdir()
    (directory / f".{DOMAIN}.zone.new").write_text("half a li")
    files.publish(SPF)
    assert lines(file) == [SPF.zone_line]
    assert {path.name for path in directory.iterdir()} == {".lock", file.name}


@pytest.mark.parametrize(
    "content",
    [
        b"$ORIGIN example.com.\n@ SOA ns1 hostmaster 1 2 3 4 5\n",
        b"; somebody else's\n" + SPF.zone_line.encode() + b"\n",
        b"; mailsvc\n" + SPF.zone_line.encode() + b"\nwww.example.com. 300 IN A 192.0.2.1\n",
        b"; mailsvc\n" + SPF.zone_line.replace(" 300 ", " 0300 ").encode() + b"\n",
        b"; mailsvc\n" + SPF.zone_line.encode() + b"\n\n",
        b"; mailsvc\n" + SPF.zone_line.encode() + b"\r\n",
        b"; mailsvc\n" + SPF.zone_line.encode(),
        b"; mailsvc\n" + TxtRecord("example.net", "example.net", "v=spf1").zone_line.encode() + b"\n",
        b"; mailsvc\n" + TxtRecord("badexample.com", "badexample.com", "v=spf1").zone_line.encode() + b"\n",
        b"; mailsvc \xff\n",
        b"\0" * 10,
    ],
)
def test_a_file_with_anything_else_in_it_is_left_alone(files: ZoneFiles, file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    for change in (files.publish, files.withdraw):
        assert "was not written by mailsvc" in refusal(change, SPF)
    assert file.read_bytes() == content


def test_a_file_that_cannot_be_read_is_left_alone(files: ZoneFiles, file: Path) -> None:
    file.mkdir(parents=True)
    assert "cannot be read" in refusal(files.publish, SPF)
    assert file.is_dir()


@pytest.mark.parametrize(
    "record",
    [
        TxtRecord("../evil", "../evil", "v=spf1"),
        TxtRecord("-x.example", "-x.example", "v=spf1"),
        TxtRecord("", "", "v=spf1"),
        TxtRecord(DOMAIN, "example.net", "v=spf1"),
        TxtRecord(DOMAIN, f"a\n$INCLUDE /etc/passwd\n.{DOMAIN}", "v=spf1"),
        TxtRecord(DOMAIN, f"Mail.{DOMAIN}", "v=spf1"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(files: ZoneFiles, directory: Path, record: TxtRecord) -> None:
    for change in (files.publish, files.withdraw):
        assert "not a name" in refusal(change, record)
    assert not directory.exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written: Not a directory" in refusal(zone_files(tmp_path / "file").publish, SPF)
    assert "cannot be written: No such file" in refusal(zone_files(tmp_path / "no" / "such").publish, SPF)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 100 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_file(files: ZoneFiles, directory: Path, file: Path) -> None:
    files.publish(SPF)
    before = file.read_bytes()
    with full_disk():
        assert "cannot be written" in refusal(files.publish, DKIM)
    assert file.read_bytes() == before
    assert {path.name for path in directory.iterdir()} == {".lock", file.name}


def test_the_reload_command_runs_after_every_change_and_also_without_one(directory: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    files = zone_files(directory, script(f'echo "$1" $(grep -c TXT {directory}/$1.zone) >> {log}'))
    for change in (files.publish, files.publish, files.withdraw, files.withdraw):
        change(SPF)
    files.publish(SHOP)
    seen = [f"{DOMAIN} 1", f"{DOMAIN} 1", f"{DOMAIN} 0", f"{DOMAIN} 0", f"{SHOP.zone} 1"]
    assert log.read_text().splitlines() == seen


def test_no_shell_sees_the_reload_command(directory: Path, tmp_path: Path) -> None:
    zone_files(directory, f"touch '{tmp_path}/$HOME;{{domain}}'").publish(SPF)
    assert (tmp_path / f"$HOME;{DOMAIN}").exists()


def test_the_reload_command_does_not_learn_our_settings(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSVC_RFC2136_KEY_SECRET", "c2VjcmV0")
    zone_files(directory, script(f"env > {tmp_path}/env")).publish(SPF)
    environment = (tmp_path / "env").read_text()
    assert "PATH=" in environment and "MAILSVC_" not in environment


def test_a_failed_reload_puts_the_old_file_back(directory: Path, file: Path) -> None:
    zone_files(directory).publish(SPF)
    before = file.read_bytes()
    failing = zone_files(directory, script("echo 'zone not found' >&2; echo more; exit 3"))
    for change, record in ((failing.publish, DKIM), (failing.publish, OTHER_SPF), (failing.withdraw, SPF)):
        reason = refusal(change, record)
        assert reason == "the reload command ended with status 3: zone not found"
        assert file.read_bytes() == before


def test_a_failed_first_reload_leaves_a_file_without_records(directory: Path, file: Path) -> None:
    refusal(zone_files(directory, "false").publish, SPF)
    assert file.read_text().startswith(";") and lines(file) == []


def test_the_output_of_a_failed_reload_is_shortened_and_made_harmless(directory: Path) -> None:
    noisy = script(r"printf 'a\033[31m\377'; head -c 100000 /dev/zero | tr '\0' x; exit 1")
    reason = refusal(zone_files(directory, noisy).publish, SPF)
    shown = reason.removeprefix("the reload command ended with status 1: ")
    assert shown.startswith("a?[31m") and shown.endswith("x") and len(shown) == 200


def test_a_reload_command_that_cannot_be_started(directory: Path, file: Path) -> None:
    reason = refusal(zone_files(directory, "/no/such/program").publish, SPF)
    assert reason == "the reload command cannot be started: No such file or directory"
    assert lines(file) == []


def test_a_reload_command_that_does_not_end_is_ended(directory: Path, file: Path, tmp_path: Path) -> None:
    slow = zone_files(directory, script(f"sleep 60 & echo $! > {tmp_path}/pid; wait"), time_limit=0.3)
    assert "did not end in time" in refusal(slow.publish, SPF)
    assert lines(file) == []
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int) -> bool:
    """Whether the process ends (a killed orphan may be seen as a zombie for a moment, or for good without an init)."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_daemon_that_the_reload_command_leaves_behind_is_not_waited_for(directory: Path, tmp_path: Path) -> None:
    zone_files(directory, script(f"sleep 60 & echo $! > {tmp_path}/pid")).publish(SPF)
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_another_writer_is_waited_for_only_so_long(directory: Path, file: Path) -> None:
    zone_files(directory).publish(SPF)
    with (directory / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "taking too long" in refusal(zone_files(directory, time_limit=0.1).publish, DKIM)
    zone_files(directory).publish(DKIM)
    assert lines(file) == [SPF.zone_line, DKIM.zone_line]


WRITER = """
import sys
from threading import Thread
import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.dns.zonefile import ZoneFiles

def record(tag, number):
    return TxtRecord("example.com", f"{tag}{number}._domainkey.example.com", f"v=DKIM1; p={tag}")

def write(tag):
    files = ZoneFiles(config.load({"MAILSVC_ZONEFILE_DIR": sys.argv[1], "MAILSVC_ZONEFILE_RELOAD": "true"}), 60.0)
    for number in range(10):
        files.publish(record(tag, number))
    files.withdraw(record(tag, 0))

threads = [Thread(target=write, args=(sys.argv[2] + tag,)) for tag in "xy"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_processes_and_threads_at_once_lose_nothing(directory: Path, file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(directory), tag], cwd=config.ROOT) for tag in "ab"]
    try:
        assert [writer.wait(60) for writer in writers] == [0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    names = {line.split("._domainkey")[0] for line in lines(file)}
    assert names == {f"{process}{thread}{number}" for process in "ab" for thread in "xy" for number in range(1, 10)}


ZONE = """$ORIGIN example.com.
$TTL 3600
@   SOA ns1 hostmaster 1 3600 600 86400 60
@   NS  ns1
@   TXT "foreign"
ns1 A   127.0.0.1
$INCLUDE "{include}"
"""


@pytest.fixture(params=[knot, bind], ids=["knot", "bind"])
def server(request: pytest.FixtureRequest, files: ZoneFiles, file: Path) -> Iterator[NameServer]:
    """A name server whose zone includes our file, which so far has no records."""
    files.withdraw(SPF)
    with request.param({DOMAIN: ZONE.format(include=file)}, updates=False) as running:
        yield running


def comes_to_serve(server: NameServer, name: str, expected: list[str]) -> bool:
    """Whether the server does so within seconds: BIND reloads a zone after its control command has ended."""
    for _ in range(300):
        if server.txt(name) == expected:
            return True
        time.sleep(0.01)
    return False


def test_name_servers_load_the_file_and_serve_its_records(server: NameServer, directory: Path) -> None:
    files = zone_files(directory, shlex.join(server.reload))
    files.publish(SPF)
    files.publish(DKIM)
    assert comes_to_serve(server, SPF.name, ["foreign", SPF.value])
    assert comes_to_serve(server, DKIM.name, [DKIM.value])
    files.publish(OTHER_SPF)
    assert comes_to_serve(server, SPF.name, ["foreign", OTHER_SPF.value])
    files.withdraw(OTHER_SPF)
    files.withdraw(DKIM)
    assert comes_to_serve(server, SPF.name, ["foreign"])
    assert comes_to_serve(server, DKIM.name, [])


def test_a_zone_that_the_name_server_does_not_have_is_refused(server: NameServer, directory: Path) -> None:
    files = zone_files(directory, shlex.join(server.reload))
    assert "ended with status" in refusal(files.publish, SHOP)
    assert lines(directory / "shop.example.com.zone") == []
