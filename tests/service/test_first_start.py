"""The first start, the starts that are refused, and the end of the service: as an administrator sees them."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import config
from tests.application import ROOT_SECRET
from tests.servers import free_port
from tests.service.calling import addmail, call, mailboxes, perform
from tests.service.running import (
    DEFAULTS,
    LIMIT,
    SERVE,
    Service,
    environment,
    run,
    serving,
    wait_until,
    without_privileges,
)

CANARY = "Canary-91ab"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in directory.iterdir()}


def refused(data_dir: Path, settings: Mapping[str, str] = DEFAULTS, *, privileged: bool = True) -> str:
    """The one line with which ``serve`` refuses to start."""
    environ = environment(data_dir, {"BIND": f"127.0.0.1:{free_port()}", **settings})
    done = run([*([] if privileged else without_privileges()), *SERVE], environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"mailsvc: [^\n]+\n", done.stderr), done.stderr
    return done.stderr.removeprefix("mailsvc: ").rstrip("\n")


def curl_call(service: Service) -> str:
    """What stands between the announcement and the end of what was printed."""
    return service.printed.read_text().split("Try it:\n\n")[1]


def pasted(service: Service, environ: dict[str, str] | None = None) -> dict[str, Any]:
    """The reply's object when the printed call is pasted into a shell as it is."""
    done = subprocess.run(["sh", "-c", curl_call(service)], capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (0, ""), done
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def printed_password(service: Service) -> str:
    match = re.search(r"^The root user `root` was made\. .*: (\S+)$", service.printed.read_text(), re.MULTILINE)
    assert match
    return match[1]


NOTHING_YET = (1, "Nothing was found for: root")


def test_an_empty_directory_becomes_a_working_service(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    data_dir.parent.mkdir()
    with serving(data_dir) as service:
        assert mode(data_dir) == 0o750
        assert modes(data_dir).items() >= {"mailsvc.sqlite3": 0o640, "secret.keys": 0o600}.items()
        reply = pasted(service)
        assert (reply["error"], reply["mess"]) == NOTHING_YET
        password = printed_password(service)
        assert len(password) >= 16
        assert call(service, "GET", f"/api/api.php?login=root&pass={password}").body == b""
        assert service.stop() == 0
    # Once to be kept, once within the call; never where logs are kept.
    assert service.printed.read_text().count(password) == 2
    assert password not in service.log.read_text()
    for file in data_dir.rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes()
    with serving(data_dir) as again:
        assert again.printed.read_text() == f"mailsvc serves {data_dir} on {again.bind}\n"
        assert perform(again, "getlistmail", login="root", secret=password)["error"] == 1
    assert password not in again.log.read_text()


def test_the_mail_servers_can_read_before_anybody_has_asked_for_anything(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    for name in ("mailsvc.sqlite3-wal", "mailsvc.sqlite3-shm"):
        (data_dir / name).unlink(missing_ok=True)
    with serving(data_dir):
        readable = {"mailsvc.sqlite3": 0o640, "mailsvc.sqlite3-wal": 0o640, "mailsvc.sqlite3-shm": 0o660}
        assert modes(data_dir).items() >= readable.items()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    with serving(tmp_path / "data", {"ROOT_PASSWORD": ROOT_SECRET}, umask=umask) as service:
        assert addmail(service, "a@example.com", login="root", secret=ROOT_SECRET)["error"] == 4
        assert service.stop() == 0
    assert mode(service.data_dir) == 0o750
    assert {name: mode for name, mode in modes(service.data_dir).items() if name != "metrics"} == {
        "mailsvc.sqlite3": 0o640,
        "mailsvc.sqlite3-wal": 0o640,
        "mailsvc.sqlite3-shm": 0o660,
        "secret.keys": 0o600,
    }


@pytest.mark.parametrize("given", ["value", "file"])
def test_a_root_password_from_the_settings(tmp_path: Path, given: str) -> None:
    password = f'{CANARY} "quoted" $HOME `x` \\ пароль'
    (tmp_path / "password").write_text(password + "\n", encoding="utf-8")
    setting = {"ROOT_PASSWORD": password} if given == "value" else {"ROOT_PASSWORD_FILE": str(tmp_path / "password")}
    with serving(tmp_path / "data", setting) as service:
        assert perform(service, "getlistmail", login="root", secret=password)["error"] == 1
        assert CANARY not in service.printed.read_text()
        reply = pasted(service, dict(service.environ))
        assert (reply["error"], reply["mess"]) == NOTHING_YET
    assert CANARY not in service.log.read_text()


def test_a_root_password_is_read_only_when_the_root_user_is_made(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir, {"ROOT_PASSWORD": CANARY}) as service:
        assert perform(service, "getlistmail", login="root", secret=CANARY)["error"] == 1000
        assert perform(service, "getlistmail", login="root", secret=ROOT_SECRET)["error"] == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "[::1]", "[::]"])
def test_the_printed_call_works_for_other_addresses(tmp_path: Path, host: str) -> None:
    if "[" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(tmp_path / "data", {"BIND": f"{host}:{free_port()}"}) as service:
        assert (pasted(service)["error"], pasted(service)["mess"]) == NOTHING_YET


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_relative_paths_are_those_of_the_directory_it_was_started_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{ROOT_SECRET}\n")
    files = {"ROOT_PASSWORD_FILE": "password", "DNS": "zonefile", "ZONEFILE_DIR": "zones"}
    with serving(Path("data"), files, directory=tmp_path) as service:
        assert (tmp_path / "data" / "mailsvc.sqlite3").is_file()
        for arguments in (
            ("user", "add", "alice", "--password-stdin"),
            ("domain", "add", "a.test", "--owner", "alice"),
        ):
            command = [sys.executable, "-m", "mailsvc", *arguments]
            subprocess.run(command, env=service.environ, cwd=tmp_path, input=b"Panel-1\n", check=True)
        assert perform(service, "onspf", domain="a.test")["error"] == 0
    assert [path.name for path in (tmp_path / "zones").glob("*.zone")] == ["a.test.zone"]


# Starts that are refused


def contents(directory: Path) -> dict[Path, bytes]:
    """All but the index of the log, which holds the locks of whoever reads just now."""
    return {path: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.suffix != ".sqlite3-shm"}


def test_a_second_service_on_the_same_address_changes_nothing(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir) as service:
        addmail(service, "before@example.com")
        before = contents(data_dir)
        for other in (data_dir, tmp_path / "other"):
            line = refused(other, {"BIND": service.bind})
            assert line.startswith(f"cannot listen on {service.bind}: Address already in use")
        assert contents(data_dir) == before
        assert not [*(tmp_path / "other").rglob("*")]
        assert service.answers()
        assert mailboxes(service) == {"old@example.com", "before@example.com"}


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    assert refused(tmp_path / "data", {"BIND": "192.0.2.1:8002"}).startswith("cannot listen on 192.0.2.1:8002: ")


@pytest.mark.parametrize("name", ["", "below"])
def test_an_unwritable_data_directory(tmp_path: Path, name: str) -> None:
    data_dir = tmp_path / "read-only"
    data_dir.mkdir(mode=0o555)
    line = refused(data_dir / name, privileged=False)
    assert line == f"cannot write the data directory {data_dir / name}: Permission denied"
    assert not [*data_dir.iterdir()]


def test_a_database_of_a_newer_version_is_left_alone(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    database = data_dir / "mailsvc.sqlite3"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        before = [*connection.iterdump()]
    assert refused(data_dir).startswith(f"{database} belongs to a newer mailsvc: ")
    with closing(sqlite3.connect(database)) as connection:
        assert [*connection.iterdump()] == before


def test_a_database_that_somebody_else_writes(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with closing(sqlite3.connect(data_dir / "mailsvc.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert refused(data_dir) == "the database does not take it: database is locked"


@pytest.mark.parametrize("content", [b"", b"not a key\n"])
def test_a_key_file_without_keys_is_left_alone(sqlite_template: Path, tmp_path: Path, content: bytes) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    key_file = data_dir / "secret.keys"
    key_file.write_bytes(content)
    assert refused(data_dir) == f"cannot use the key file {key_file}: it does not hold Fernet keys"
    assert key_file.read_bytes() == content


def only_the_header(whole: bytes) -> bytes:
    return whole[:100] + bytes(len(whole) - 100)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "something else": lambda _: b"not a database\n" * 1000,
    "only the header": only_the_header,
    "cut short": lambda whole: whole[: len(whole) // 2],
    "cut very short": lambda whole: whole[:50],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database(sqlite_template: Path, tmp_path: Path, damage: str) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    database = data_dir / "mailsvc.sqlite3"
    content = DAMAGE[damage](database.read_bytes())
    database.write_bytes(content)
    assert refused(data_dir).startswith(f"cannot open {database}: ")
    assert database.read_bytes() == content


def test_a_directory_in_the_place_of_the_database(tmp_path: Path) -> None:
    database = tmp_path / "mailsvc.sqlite3"
    database.mkdir()
    assert refused(tmp_path).startswith(f"cannot open {database}: ")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "host:port"])
def test_a_database_server_that_does_not_answer(tmp_path: Path, address: str) -> None:
    line = refused(tmp_path / "data", {"DATABASE_URL": f"postgresql+psycopg://mailsvc:{CANARY}@{address}/mailsvc"})
    assert CANARY not in line


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "data", {"NONSENSE": "1"}) == "MAILSVC_NONSENSE: there is no such setting"
    assert not (tmp_path / "data").exists()


def test_a_file_of_a_setting_without_permission_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o000)
    line = refused(tmp_path / "data", {"ROOT_PASSWORD_FILE": str(secret)}, privileged=False)
    assert line == f"MAILSVC_ROOT_PASSWORD_FILE: cannot read {secret}: Permission denied"


# A socket in the file system


@pytest.fixture
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for a socket (108 bytes)."""
    return tmp_path_factory.mktemp("s") / "s"


def test_a_socket_in_the_file_system(tmp_path: Path, socket_path: Path) -> None:
    with serving(tmp_path / "data", {"BIND": f"unix:{socket_path}"}) as service:
        assert mode(socket_path) == 0o660
        assert (pasted(service)["error"], pasted(service)["mess"]) == NOTHING_YET
        assert service.stop() == 0
    assert [line["address"] for line in service.log_lines() if line["logger"] == "mailsvc.request"][-1] == "unix"
    # Whether it was removed or not: the next start is not in the way of the last one.
    with serving(tmp_path / "data", {"BIND": f"unix:{socket_path}"}) as again:
        assert again.answers()


def test_an_abandoned_socket_is_replaced(tmp_path: Path, socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(socket_path))
    with serving(tmp_path / "data", {"BIND": f"unix:{socket_path}"}) as service:
        assert service.answers()


def test_a_socket_that_somebody_listens_on_is_refused(tmp_path: Path, socket_path: Path) -> None:
    with serving(tmp_path / "data", {"BIND": f"unix:{socket_path}"}) as service:
        line = refused(tmp_path / "other", {"BIND": service.bind})
        assert line == f"cannot listen on {service.bind}: Address already in use"
        assert service.answers()
        assert not [*(tmp_path / "other").rglob("*")]


def test_what_is_no_socket_is_not_replaced(tmp_path: Path, socket_path: Path) -> None:
    socket_path.write_bytes(b"content")
    assert refused(tmp_path / "data", {"BIND": f"unix:{socket_path}"}).startswith(
        f"cannot listen on unix:{socket_path}: "
    )
    assert socket_path.read_bytes() == b"content"


@pytest.mark.parametrize("name", ["x" * 120, "absent/s"])
def test_a_path_that_no_socket_can_have(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / "data", {"BIND": f"unix:{tmp_path / name}"}).startswith("cannot listen on unix:")


# The end


def end_like_terminal(service: Service) -> None:
    """What Ctrl-C does: every process of the group gets the signal."""
    os.killpg(service.pid, signal.SIGINT)


ENDS: dict[str, Callable[[Service], None]] = {
    "SIGTERM": lambda service: service.process.send_signal(signal.SIGTERM),
    "Ctrl-C": end_like_terminal,
}


@pytest.mark.parametrize("how", ENDS)
def test_the_end_is_orderly(sqlite_template: Path, tmp_path: Path, how: str) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir) as service:
        service.all_workers()
        addmail(service, "new@example.com")
        ENDS[how](service)
        assert service.process.wait(60) == 0
        wait_until(service.is_gone, "the end of every process")
    readable = {"mailsvc.sqlite3": 0o640, "mailsvc.sqlite3-wal": 0o640, "mailsvc.sqlite3-shm": 0o660}
    assert modes(data_dir).items() >= readable.items()
    # What a mail server does: read, without the right to write the database.
    with closing(sqlite3.connect(f"{(data_dir / 'mailsvc.sqlite3').as_uri()}?mode=ro", uri=True)) as connection:
        assert ("new@example.com",) in connection.execute("SELECT address FROM mailbox").fetchall()
    assert "Traceback" not in service.log.read_text()


def test_a_request_under_way_is_answered_before_the_end(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir) as service, ThreadPoolExecutor(1) as pool:
        mailboxes(service)
        with closing(sqlite3.connect(service.database, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            reply = pool.submit(addmail, service, "late@example.com")
            wait_until(lambda: waits_for_its_turn(service), "a request under way")
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Handling signal: term" in service.log.read_text(), "the signal's arrival")
            holder.execute("ROLLBACK")
        assert reply.result()["error"] == 0
        assert service.process.wait(60) == 0


SLOW_TO_BOOT = """
import os, time
from runpy import run_path
globals().update({name: value for name, value in run_path(os.environ["REAL_SETTINGS"]).items() if name[0] != "_"})


def post_fork(_server, worker):
    # It has no handlers of its own yet, and gets the signal now.
    os.kill(os.getpid(), 15)
    print("told", flush=True)
    time.sleep(1)
"""


def test_a_worker_that_was_only_just_forked_ends_as_well(sqlite_template: Path, tmp_path: Path) -> None:
    """gunicorn's master tells its workers once, and kills those that did not hear it when its patience ends."""
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    slow = tmp_path / "slow.py"
    slow.write_text(SLOW_TO_BOOT)
    bind = f"127.0.0.1:{free_port()}"
    environ = environment(data_dir, {"BIND": bind}) | {"REAL_SETTINGS": str(config.ROOT / "gunicorn.conf.py")}
    command = [sys.executable, "-m", "gunicorn", "-c", str(slow), "--bind", bind]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environ, cwd=config.ROOT, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None and process.stdout.readline() == b"told\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
    said = (tmp_path / "log").read_text()
    assert said.count("Worker exiting") == said.count("Booting worker") > 0


def waits_for_its_turn(service: Service) -> bool:
    """Whether a connection of a client to the service is open: none is once its request was answered."""
    port = f":{service.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(port) and row[3] == "01" for row in rows)


def test_a_reload_keeps_serving(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir) as service:
        before = set(service.all_workers())
        service.process.send_signal(signal.SIGHUP)
        while service.workers() & before or len(service.workers()) < 2:
            assert mailboxes(service) == {"old@example.com"}
        assert addmail(service, "new@example.com")["error"] == 0
        assert service.process.poll() is None
        assert service.stop() == 0
    assert {line["level"] for line in service.log_lines()} == {"info"}


def test_the_command_line_of_the_service_holds_no_secret(tmp_path: Path) -> None:
    with serving(tmp_path / "data", {"ROOT_PASSWORD": CANARY}) as service:
        pids = [service.pid, *service.all_workers()]
        lines = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids]
    assert all("gunicorn" in line for line in lines)
    assert CANARY not in shlex.join(lines)
    assert str(config.ROOT) in lines[0]
