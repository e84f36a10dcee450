"""``milter``: where it listens, what it needs, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import config
from mailsvc.milter import wire
from tests.milter.mta import LIMIT, Mta
from tests.service.running import environment


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    expires = time.monotonic() + LIMIT
    while not path.is_socket():
        assert process.poll() is None and time.monotonic() < expires
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_listens_on_a_unix_socket_until_it_is_asked_to_end(
    sqlite_template: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "milter"
    path.touch()
    path.unlink()
    environ = environment(sqlite_template, {"MILTER_BIND": f"unix:{path}"})
    command = [sys.executable, "-m", "mailsvc", "milter"]
    with subprocess.Popen(command, env=environ, cwd=config.ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(path, process)
            assert path.stat().st_mode & 0o777 == 0o660
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LIMIT)
                connection.connect(str(path))
                client = Mta(connection)
                client.negotiated()
                client.begin("old@example.com")
                assert list(client.end(("From", " someone@elsewhere.test"))) == [(wire.CONTINUE, b"")]
                os.kill(process.pid, number)
                assert connection.recv(1) == b""
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
    assert process.stdout is not None


def test_it_says_why_it_cannot_start(sqlite_template: Path, tmp_path: Path) -> None:
    def refusal(directory: Path, bind: str) -> str:
        environ = environment(directory, {"MILTER_BIND": bind})
        command = [sys.executable, "-m", "mailsvc", "milter"]
        done = subprocess.run(command, env=environ, cwd=config.ROOT, capture_output=True, text=True, timeout=LIMIT)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    assert "there is no database" in refusal(tmp_path, "127.0.0.1:8891")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refusal(
            sqlite_template, f"127.0.0.1:{port}"
        )
