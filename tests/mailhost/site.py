"""docs/install.md at its word: what an administrator has who pastes the page, below a directory of the tests.

Only what ``_replacements`` lists is replaced in the page, and only what ``_ADDED`` lists is added to its files.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import config
from tests.servers import free_port

PAGE = config.ROOT / "docs" / "install.md"

UNIT = config.ROOT / "deploy" / "mailsvc.service"
COMMAND = config.ROOT / "deploy" / "mailsvc"
"""What the page copies from the checkout."""

_FILE = re.compile(r"^\*\*`(/[^`]+)`\*\*[^\n]*\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"(?<!\*\*\n\n)^```sh\n(?!#)(.*?)^```$", re.MULTILINE | re.DOTALL)

_PATHS = (
    "/etc/dovecot",
    "/etc/mailsvc",
    "/etc/postfix",
    "/etc/powerdns",
    "/etc/systemd",
    "/usr/local/sbin",
    "/var/lib/dovecot",
    "/var/lib/mailsvc",
    "/var/vmail",
)
"""What the page puts below the root directory is below the run directory here."""

MAIL_OWNER, MAIL_GROUP = "nobody", "nogroup"
"""In the place of vmail: no account is made."""

_ADDED = {
    "etc/postfix/main.cf": """
queue_directory = {directory}/var/spool/postfix
data_directory = {directory}/postfix
alias_maps = hash:{directory}/etc/aliases
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
inet_protocols = ipv4
# A client at another loopback address is from elsewhere.
mynetworks = 127.0.0.1
default_transport = error:nothing leaves this machine
""",
    "etc/dovecot/local.conf": """
instance_name = {directory.name}
base_dir = {directory}/dovecot
state_dir = {directory}/dovecot-state
log_path = {directory}/dovecot.log
auth_failure_delay = 0
service anvil {{
  # Else one wrong password makes every later login wait 2, 4, 8, 15 s.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
""",
}
"""What keeps each server to itself and quick, after what the page says."""


@dataclass(frozen=True, slots=True)
class Ports:
    """A free port in the place of each well-known one."""

    http: int = field(default_factory=free_port)
    smtp: int = field(default_factory=free_port)
    submission: int = field(default_factory=free_port)
    submissions: int = field(default_factory=free_port)
    reinjection: int = field(default_factory=free_port)
    milter: int = field(default_factory=free_port)
    quota_status: int = field(default_factory=free_port)
    imap: int = field(default_factory=free_port)
    imaps: int = field(default_factory=free_port)
    pop3: int = field(default_factory=free_port)
    pop3s: int = field(default_factory=free_port)
    sieve: int = field(default_factory=free_port)
    dns: int = field(default_factory=free_port)


def places(directory: Path, ports: Ports, *, milter: bool) -> dict[str, str]:
    """The options of ``mailhost render`` with which servers keep to ``directory`` and ``ports``."""
    return {
        "mail-user": MAIL_OWNER,
        "mail-group": MAIL_GROUP,
        "read-group": "postfix",
        "certificate": f"{directory}/tls/fullchain.pem",
        "last-login": f"{directory}/var/lib/dovecot/mailsvc/last-login.sqlite3",
        "milter": f"127.0.0.1:{ports.milter}" if milter else "",
        "quota-status": f"127.0.0.1:{ports.quota_status}",
        "queue": f"{directory}/var/spool/postfix",
        "dovecot-local": f"{directory}/etc/dovecot/local.conf",
        "listen": "127.0.0.1",
        "smtp-listen": "127.0.0.1",
        "submission": f"127.0.0.1:{ports.submission}",
        "submissions": f"127.0.0.1:{ports.submissions}",
        "reinjection": f"127.0.0.1:{ports.reinjection}",
        "imap-port": str(ports.imap),
        "imaps-port": str(ports.imaps),
        "pop3-port": str(ports.pop3),
        "pop3s-port": str(ports.pop3s),
        "sieve-port": str(ports.sieve),
    }


def _replacements(directory: Path, ports: Ports, *, milter: bool) -> dict[str, str]:
    """Everything of the page that is otherwise here, and what it is here."""
    options = "".join(f" --{name}={value}" for name, value in places(directory, ports, milter=milter).items())
    return {path: f"{directory}{path}" for path in _PATHS} | {
        "/opt/mailsvc/.venv/bin/python": sys.executable,
        "/opt/mailsvc": str(config.ROOT),
        "127.0.0.1:8002": f"127.0.0.1:{ports.http}",
        "mailsvc mailhost render /etc/mailsvc/mailhost\n": (
            f"mailsvc mailhost render {directory}/etc/mailsvc/mailhost{options}\n"
        ),
        # No account is made: mailsvc is root, the group mailsvc-read is Postfix's own, and vmail is nobody.
        "--owner=mailsvc ": "--owner=root ",
        "--group=mailsvc ": "--group=root ",
        "--group=mailsvc-read ": "--group=postfix ",
        "runuser -u mailsvc ": "runuser -u root ",
        "--owner=vmail --group=vmail ": f"--owner={MAIL_OWNER} --group={MAIL_GROUP} ",
        # The administrator's tools would look into the usual places.
        "doveadm ": f"doveadm -c {directory}/etc/dovecot/dovecot.conf ",
        "--server 127.0.0.1 ": f"--server 127.0.0.1:{ports.smtp} ",
        "kdig @127.0.0.1 ": f"kdig @127.0.0.1 -p {ports.dns} ",
        "imaps://127.0.0.1/": f"imaps://127.0.0.1:{ports.imaps}/",
        "mailsvc doctor\n": (
            f"mailsvc doctor --mailhost={directory}/etc/mailsvc/mailhost --postfix={directory}/etc/postfix"
            f" --dovecot={directory}/etc/dovecot/dovecot.conf --dns=127.0.0.1:{ports.dns}\n"
        ),
    }


def _replaced(table: dict[str, str], *texts: str) -> list[str]:
    """``texts`` with every key of ``table`` replaced, each of which must occur in one of them."""
    assert [key for key in table if not any(key in text for text in texts)] == [], "no longer in the page"
    longest_first = re.compile("|".join(map(re.escape, sorted(table, key=len, reverse=True))))
    return [longest_first.sub(lambda match: table[match[0]], text) for text in texts]


@dataclass(frozen=True, slots=True)
class Site:
    """What an administrator has after pasting the page: files below ``directory``, and commands yet to be run."""

    directory: Path
    ports: Ports
    page: str

    @classmethod
    def pasted(cls, directory: Path, *, milter: bool = False) -> "Site":
        """Sections 1 and 2 done: every named block of the page in its file, the directories, the secrets."""
        ports = Ports()
        table = _replacements(directory, ports, milter=milter)
        page, unit, command = _replaced(table, *(path.read_text() for path in (PAGE, UNIT, COMMAND)))
        site = cls(directory, ports, page)
        site.run(*site.commands("1. ", "install "))
        for path, text in _FILE.findall(site.page):
            assert Path(path).is_relative_to(directory), f"{path} would be written to this machine"
            site.write(Path(path), text)
        (directory / "usr/local/sbin").mkdir(parents=True)
        site.run(*site.commands("2. ", "install ", "openssl "))
        site.write(directory / "usr/local/sbin/mailsvc", command)
        site.write(directory / f"etc/systemd/system/{UNIT.name}", unit)
        return site

    def configure_servers(self, *, dovecot: str = "2.3") -> None:
        """Section 3 done: configuration rendered and put where the servers look, for this Dovecot."""
        for name in ("etc/postfix", "etc/dovecot", "etc/powerdns/pdns.d"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        lines = self.commands("3. ", "mailsvc ", "cp ", "cat ", "ln ", "install ", "runuser ")
        self.run(*(line.replace("dovecot-2.3", f"dovecot-{dovecot}") for line in lines))
        for name, text in _ADDED.items():
            path = self.directory / name
            self.write(path, (path.read_text() if path.exists() else "") + text.format(directory=self.directory))
        master = self.directory / "etc/postfix/master.cf"
        self.write(master, master.read_text().replace("\nsmtp      inet", f"\n127.0.0.1:{self.ports.smtp} inet", 1))
        for path in (self.directory / "etc/mailsvc/mailhost").rglob("*.*"):
            os.utime(path, (0, 0))

    @property
    def database(self) -> Path:
        """mailsvc's SQLite file."""
        return self.directory / "var/lib/mailsvc/mailsvc.sqlite3"

    def write(self, path: Path, text: str) -> None:
        """A file that no server thinks is still being written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (0, 0))

    def commands(self, section: str, *beginnings: str) -> list[str]:
        """The commands of a section of the page, by the beginning of its title, each on one line.

        Only those with one of ``beginnings``, if any are given; each must begin a command.
        """
        body = self.page.partition(f"\n## {section}")[2].partition("\n## ")[0]
        lines = "".join(_COMMANDS.findall(body)).replace("\\\n", " ").splitlines()
        assert lines, f"no commands in section {section!r}"
        assert [word for word in beginnings if not any(line.startswith(word) for line in lines)] == []
        return [line for line in lines if line and line.startswith(beginnings or "")]

    def run(self, *lines: str) -> None:
        """Run commands of the page one by one; each must succeed."""
        for line in lines:
            outcome = self.outcome(line)
            assert outcome.returncode == 0, f"{line}\n{outcome.stdout}{outcome.stderr}{self.logs()}"

    def outcome(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the page."""
        path = os.pathsep.join([f"{self.directory}/usr/local/sbin", os.environ.get("PATH", os.defpath), "/usr/sbin"])
        return subprocess.run(
            ["bash", "-c", line],
            env={"PATH": path, "LC_ALL": "C.UTF-8"},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def make_first_mailbox(self) -> None:
        """What section 2 tells a running mailsvc first. curl succeeds whatever the answer is, so that is looked at."""
        self.run(*self.commands("2. ", "mailsvc "))
        (call,) = self.commands("2. ", "curl ")
        reply = self.outcome(call).stdout
        assert json.loads(reply or "{}").get("error") == 0, f"{reply}\n{self.logs()}"

    def unit(self, key: str) -> str:
        """A value of the systemd unit."""
        text = (self.directory / "etc/systemd/system/mailsvc.service").read_text()
        return next(line for line in text.splitlines() if line.startswith(f"{key}=")).removeprefix(f"{key}=")

    def environment(self) -> list[str]:
        """The service's settings, as assignments."""
        return shlex.split(Path(self.unit("EnvironmentFile")).read_text(), comments=True)

    def logs(self) -> str:
        """The end of what the servers wrote."""
        return "".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.directory.glob("*log")))
