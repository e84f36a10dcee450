"""Other programs that do what the collecting worker does: from IMAP to LMTP, originals kept, everything once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import HOST, plain_environment

LIMIT = 300


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be collected, and where it goes."""

    user: str
    password: str
    imap: int
    lmtp: int
    recipient: str


FETCHMAIL = """
set no bouncemail
set no syslog
poll {host} service {imap} protocol IMAP auth password
  user "{user}" password "{password}" is "{recipient}" here
  keep fetchall sslproto "" smtphost "{host}/{lmtp}" smtpname "{recipient}" lmtp antispam -1 fetchlimit 0
"""

GETMAIL = """
[retriever]
type = SimpleIMAPRetriever
server = {host}
port = {imap}
username = {user}
password = {password}
mailboxes = ("INBOX",)

[destination]
type = MDA_lmtp
host = {host}
port = {lmtp}
override = {recipient}

[options]
delete = false
read_all = false
delivered_to = false
received = false
verbose = 0
"""


def fetchmail(job: Job, directory: Path) -> list[str]:
    """Its command line."""
    file = directory / "fetchmailrc"
    file.write_text(FETCHMAIL.format(host=HOST, **_facts(job)))
    file.chmod(0o600)
    return [_path("fetchmail"), "-f", str(file), "--pidfile", str(directory / "pid"), "-i", str(directory / "ids")]


def getmail(job: Job, directory: Path) -> list[str]:
    """Its command line."""
    (directory / "getmailrc").write_text(GETMAIL.format(host=HOST, **_facts(job)))
    return [_path("getmail"), "--getmaildir", str(directory), "--rcfile", "getmailrc"]


OTHERS: Mapping[str, Callable[[Job, Path], list[str]]] = {"fetchmail": fetchmail, "getmail": getmail}


def is_there(name: str) -> bool:
    """Whether the program is installed."""
    return shutil.which(name, path=_search()) is not None


def run(command: list[str], directory: Path) -> None:
    """Let it work to its end. Raises RuntimeError."""
    environment = plain_environment() | {"HOME": str(directory), "FETCHMAILHOME": str(directory)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-400:]
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {said}")


def _facts(job: Job) -> dict[str, object]:
    return {name: getattr(job, name) for name in ("user", "password", "imap", "lmtp", "recipient")}


def _path(name: str) -> str:
    return shutil.which(name, path=_search()) or name


def _search() -> str:
    # Beside our own Python they may be too.
    return os.pathsep.join((*os.get_exec_path(), str(Path(sys.executable).parent)))
