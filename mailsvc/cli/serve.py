"""``serve``: everything that must be there is made, then gunicorn takes over this process."""

import os
import socket
import subprocess
import sys

import click
from flask import Flask

import config
from config import TcpAddress, UnixAddress
from mailsvc import startup
from mailsvc.cli.listening import listen
from mailsvc.observation import logs
from mailsvc.services.ports import open_ports


def _memory(arenas: int) -> dict[str, str]:
    """How malloc shall work (docs/performance.md): as many ``arenas`` at most, and large blocks for themselves."""
    return {
        "MALLOC_ARENA_MAX": str(arenas),
        # Straight from the system and back to it, or every thread that ever asked for one would keep it.
        "MALLOC_MMAP_THRESHOLD_": "1048576",
        "MALLOC_TRIM_THRESHOLD_": "1048576",
    }


@click.command()
def serve() -> None:
    """Serve: migrates, creates what is missing, then runs gunicorn, and beside it the worker that collects accounts."""
    settings = config.load()
    logs.set_up(settings.log_format)
    startup.make_data_dir(settings)
    # Before anything is made or migrated: a second service on the same address must change nothing.
    listener = listen(settings.bind)
    app = Flask("mailsvc")
    app.extensions["mailsvc"] = open_ports(app, settings)
    first = startup.prepare(app)
    _announce(settings, first)
    _become_gunicorn(settings, listener)


def _announce(settings: config.Settings, first: startup.FirstStart | None) -> None:
    click.echo(f"mailsvc serves {settings.data_dir} on {settings.bind}")
    if first is None:
        return
    if first.password:
        click.echo(f"The root user `root` was made. Its password, shown this once: {first.password}")
    click.echo(f"""Try it:

{_curl(settings.bind)} \\
  --data-urlencode username=root --data-urlencode "password={_secret(first)}" \\
  -d mailclient=1 -d getlistmail=1 -d language=en
""")


def _secret(first: startup.FirstStart) -> str:
    """What stands for root's password in the call to paste: a password that was given is not shown."""
    if first.password:
        return first.password
    return "$MAILSVC_ROOT_PASSWORD" if "MAILSVC_ROOT_PASSWORD" in os.environ else '$(cat "$MAILSVC_ROOT_PASSWORD_FILE")'


def _curl(bind: TcpAddress | UnixAddress) -> str:
    if isinstance(bind, UnixAddress):
        return f"curl -s --unix-socket {bind.path} http://localhost/api/api.php"
    host = "127.0.0.1" if bind.host in ("0.0.0.0", "::") else str(TcpAddress(bind.host, 0)).rsplit(":", 1)[0]  # noqa: S104
    return f"curl -s http://{host}:{bind.port}/api/api.php"


def _become_gunicorn(settings: config.Settings, listener: socket.socket) -> None:
    sys.stdout.flush()
    listener.set_inheritable(True)
    # The working directory stays what it is: settings may name files relative to it.
    found = os.pathsep.join(filter(None, (str(config.ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": found}
    if settings.local_delivery is not None:
        # A child of the process that becomes gunicorn's master: it ends with it.
        beside = {name: value for name, value in environment.items() if name != "NOTIFY_SOCKET"}
        subprocess.Popen([sys.executable, "-m", "mailsvc.keeper", str(os.getpid())], env=_memory(1) | beside)
    # An arena for each thread: what it asks for comes from pages of its own. In the gaps of what a worker is forked
    # with each little piece would make a page the worker's own.
    environment = _memory(settings.threads + 1) | environment
    arguments = [sys.executable, "-m", "gunicorn", "-c", str(config.ROOT / "gunicorn.conf.py")]
    os.execve(sys.executable, [*arguments, "--bind", f"fd://{listener.fileno()}"], environment)  # noqa: S606
