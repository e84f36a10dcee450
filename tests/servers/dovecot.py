"""A private Dovecot, its authentication only, with the rendered queries on a SQLite file."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailsvc.mailhost.render import rendered
from tests.servers import require, require_file
from tests.servers.places import layout_for
from tests.servers.process import Account, run_directory, running

_REFUSED = 77
"""Exit status of ``doveadm auth test`` (EX_NOPERM): unknown user, disabled, or another password."""

_PACKAGES = "dovecot-core dovecot-sqlite"

_SQLITE_DRIVER = ("usr/lib*/dovecot/modules/libdriver_sqlite.so", "usr/lib*/dovecot/libdriver_sqlite.so")

_MAIN = """
instance_name = {directory.name}
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
protocols =
ssl = no
first_valid_uid = 1
default_internal_user = {account.user}
default_internal_group = {account.group}
default_login_user = {account.user}
auth_failure_delay = 0
passdb {{
  driver = sql
  args = {directory}/sql.conf
}}
userdb {{
  driver = sql
  args = {directory}/sql.conf
}}
service anvil {{
  chroot =
  # Else one wrong password makes every later login wait 2, 4, 8, 15 s.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth-worker {{
  user = {account.user}
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True, slots=True)
class DovecotAuth:
    """A running Dovecot that only says who may log in. It caches nothing."""

    doveadm: str
    configuration: Path

    def login(self, user: str, password: str) -> bool:
        """Whether Dovecot lets ``user`` in.

        RuntimeError with its log when it cannot tell: the file is unreadable, the view is absent.
        """
        done = subprocess.run(
            [self.doveadm, "-c", str(self.configuration), "auth", "test", user, password],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode not in (0, _REFUSED) or "code=temp_fail" in done.stdout:
            log = self.configuration.with_name("dovecot.log").read_text(errors="replace")[-4000:]
            raise RuntimeError(f"doveadm auth test ended with {done.returncode}\n{done.stdout}{done.stderr}{log}")
        return done.returncode == 0

    def answers(self) -> bool:
        """Whether its authentication takes questions by now."""
        return self.configuration.with_name("run").joinpath("auth-client").is_socket()


@contextmanager
def dovecot_auth(database: Path) -> Iterator[DovecotAuth]:
    """Dovecot on the SQLite file ``database``, run as whoever runs the tests."""
    program, doveadm = require("dovecot", _PACKAGES), require("doveadm", _PACKAGES)
    require_file("dovecot-sqlite", *_SQLITE_DRIVER)
    with run_directory("dovecot") as directory:
        server = DovecotAuth(doveadm, directory / "dovecot.conf")
        server.configuration.write_text(_MAIN.format(directory=directory, account=Account.own()))
        layout = layout_for(database)
        (directory / "sql.conf").write_text(rendered(layout, {})["dovecot-2.3/sql.conf.ext"])
        arguments = [program, "-F", "-c", str(server.configuration)]
        # Asked to end, it waits for its children for two seconds.
        with running(arguments, directory, server.answers, stop=signal.SIGKILL):
            yield server
