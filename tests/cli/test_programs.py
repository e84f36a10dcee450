"""The command line as a program of its own: what only a real process can show."""

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import config
from tests.protocols.brainycp.panel import Panel
from tests.service.running import LIMIT, MAILSVC, environment, run

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

SECRET = "Canary-5eed"


@pytest.fixture
def environ(settings: config.Settings) -> dict[str, str]:
    """The environment of a program that works on this test's database."""
    return environment(settings.data_dir)


def test_done_refused_and_wrong_usage(environ: dict[str, str]) -> None:
    add = [*MAILSVC, "mailbox", "add", "new@example.com", "--quota", "5", "--password-stdin"]
    done, refused = run(add, environ, stdin=f"{SECRET}\n"), run(add, environ, stdin=f"{SECRET}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (refused.returncode, refused.stdout, refused.stderr) == (
        1, "", "mailsvc: new@example.com is there already\n",
    )  # fmt: skip
    misused = run([*MAILSVC, "mailbox", "add"], environ)
    assert (misused.returncode, misused.stdout) == (2, "")
    assert misused.stderr.startswith("Usage: python -m mailsvc mailbox add ")


def test_a_name_that_is_not_utf_8(environ: dict[str, str]) -> None:
    for arguments in (["user", "remove"], ["mailbox", "remove"], ["spf", "on"]):
        command = [*(word.encode() for word in (*MAILSVC, *arguments)), b"\xff\xfe@\xff.test"]
        done = subprocess.run(command, capture_output=True, env=environ, cwd=config.ROOT, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"mailsvc: ") and done.stderr.count(b"\n") == 1


def test_a_reader_that_goes_away_is_no_traceback(environ: dict[str, str]) -> None:
    line = f"{sys.executable} -m mailsvc user list | true"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environ, cwd=config.ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_files_stay_as_the_mail_servers_need_them(environ: dict[str, str], settings: config.Settings) -> None:
    for name in ("mailsvc.sqlite3-wal", "mailsvc.sqlite3-shm"):
        (settings.data_dir / name).unlink(missing_ok=True)
    assert run([*MAILSVC, "mailbox", "disable", "old@example.com"], environ, umask=0o077).returncode == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in settings.data_dir.iterdir()}
    assert modes.items() >= {"mailsvc.sqlite3-wal": 0o640, "mailsvc.sqlite3-shm": 0o660}.items()


def typed(environ: dict[str, str], *answers: str) -> tuple[int, str]:
    """Exit status of ``user passwd alice`` on a terminal where these answers are typed, and all that was to be seen."""
    ours, theirs = pty.openpty()
    command = [*MAILSVC, "user", "passwd", "alice"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, cwd=config.ROOT)
    os.close(theirs)
    seen = b""
    waiting = list(answers)
    try:
        while part := received(ours):
            seen += part
            if waiting and seen.endswith(b": "):
                os.write(ours, f"{waiting.pop(0)}\n".encode())
        return process.wait(LIMIT), seen.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def received(terminal: int) -> bytes:
    """What comes next; nothing once the program has ended."""
    assert select.select([terminal], [], [], LIMIT)[0], "the program neither asks nor ends"
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_a_terminal_is_asked_twice_and_shows_nothing(environ: dict[str, str], client: FlaskClient) -> None:
    status, seen = typed(environ, SECRET, "something else", SECRET, SECRET)
    assert status == 0
    assert seen.count("Password: ") == 2 and "do not match" in seen
    assert SECRET not in seen and "something else" not in seen
    assert Panel(client, "alice", SECRET).post("getlistmail")["error"] == 0


def test_it_can_be_started_anywhere(environ: dict[str, str], settings: config.Settings, tmp_path: Path) -> None:
    elsewhere = environ | {"MAILSVC_DATA_DIR": os.path.relpath(settings.data_dir, tmp_path)}
    command = [*MAILSVC, "backup", "copy"]
    done = subprocess.run(command, capture_output=True, text=True, env=elsewhere, cwd=tmp_path, check=True)
    assert (tmp_path / "copy").is_file()
    assert str(settings.data_dir / "secret.keys") in done.stdout
