"""``serve``: everything that must be there is made, then gunicorn takes over this process."""

import os
import socket
import stat
import sys

import click
from flask import Flask

import config
from config import TcpAddress, UnixAddress
from mailsvc import startup
from mailsvc.observation import logs
from mailsvc.services.ports import open_ports

BACKLOG = 2048

MEMORY = {
    # Each hash takes 19 MiB: one arena, and blocks of that size straight from and back to the system, or every thread
    # that ever hashed would keep them (docs/performance.md).
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "1048576",
}


@click.command()
def serve() -> None:
    """Serve: migrates, creates what is missing, then runs gunicorn."""
    settings = config.load()
    logs.set_up(settings.log_format)
    startup.make_data_dir(settings)
    # Before anything is made or migrated: a second service on the same address must change nothing.
    listener = _listen(settings.bind)
    app = Flask("mailsvc")
    app.extensions["mailsvc"] = open_ports(app, settings)
    first = startup.prepare(app)
    _announce(settings, first)
    _become_gunicorn(settings, listener)


def _listen(bind: TcpAddress | UnixAddress) -> socket.socket:
    try:
        return _listen_tcp(bind) if isinstance(bind, TcpAddress) else _listen_unix(bind)
    except OSError as error:
        raise startup.CannotStart(f"cannot listen on {bind}: {error.strerror or error}") from None


def _listen_tcp(bind: TcpAddress) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # `::` is every address of the machine, those of IPv4 too.
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)


def _listen_unix(bind: UnixAddress) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    path = str(bind.path)
    if _is_abandoned(path):
        os.unlink(path)  # noqa: PTH108 - a socket, not a file to read
    listener.bind(path)
    os.chmod(path, 0o660)  # noqa: PTH101 - the reverse proxy's group connects
    listener.listen(BACKLOG)
    return listener


def _is_abandoned(path: str) -> bool:
    """Whether ``path`` is a socket that nobody listens on any more."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - see above
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) != 0


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
    environment = {**MEMORY, **os.environ, "PYTHONPATH": found}
    arguments = [sys.executable, "-m", "gunicorn", "-c", str(config.ROOT / "gunicorn.conf.py")]
    os.execve(sys.executable, [*arguments, "--bind", f"fd://{listener.fileno()}"], environment)  # noqa: S606
