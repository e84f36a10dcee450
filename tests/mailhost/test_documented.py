"""docs/mail-servers.md at its word: real Postfix, Dovecot and PowerDNS run from exactly the blocks of that page.

Only what ``_replacements`` lists is replaced in them, and only what ``_ADDED`` lists is added. Postfix needs root.
"""

import base64
import imaplib
import ipaddress
import json
import os
import re
import shlex
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import dns.rcode
import dns.rdatatype
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import config
from mailsvc.store import files
from tests.servers import free_port, require, require_file
from tests.servers.powerdns import PowerDns
from tests.servers.process import Account, run, run_directory, running

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = _ROOT / "docs" / "mail-servers.md"

_FILE = re.compile(r"^\*\*`(/[^`]+)`\*\*[^\n]*\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"(?<!\*\*\n\n)^```sh\n(?!#)(.*?)^```$", re.MULTILINE | re.DOTALL)

_SETTINGS = re.compile(r"^```sh\n# appended to [^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_PATHS = (
    "/etc/aliases",
    "/etc/dovecot",
    "/etc/letsencrypt",
    "/etc/mailsvc",
    "/etc/postfix",
    "/etc/powerdns",
    "/etc/systemd",
    "/usr/local/sbin",
    "/var/lib/mailsvc",
    "/var/spool/postfix",
    "/var/vmail",
)
"""What the page puts below the root directory is below the run directory here."""

_MAIL_OWNER = 20000
"""A user and a group that need not exist."""

_ADDED = {
    "main.cf": """
queue_directory = {directory}/var/spool/postfix
data_directory = {directory}/postfix
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
inet_protocols = ipv4
default_transport = error:nothing leaves this machine
""",
    "dovecot.conf": """
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

_COMPLAINT = re.compile(r"(?i)\b(?:fatal|panic|error)\b.*")

_LIMIT = 15.0
"""Seconds after which what takes half a second has failed."""

_SENDER = "someone@elsewhere.test"
_SECRET = "Box-1"


@dataclass(frozen=True, slots=True)
class Ports:
    """A free port in the place of each well-known one."""

    http: int = field(default_factory=free_port)
    smtp: int = field(default_factory=free_port)
    submission: int = field(default_factory=free_port)
    submissions: int = field(default_factory=free_port)
    imap: int = field(default_factory=free_port)
    imaps: int = field(default_factory=free_port)
    dns: int = field(default_factory=free_port)


def _replacements(directory: Path, ports: Ports) -> dict[str, str]:
    """Everything of the page that is otherwise here, and what it is here."""
    return {path: f"{directory}{path}" for path in _PATHS} | {
        "/opt/mailsvc/.venv/bin/python": sys.executable,
        "/opt/mailsvc": str(_ROOT),
        "127.0.0.1:8002": f"127.0.0.1:{ports.http}",
        "submission inet ": f"127.0.0.1:{ports.submission} inet ",
        "submissions inet ": f"127.0.0.1:{ports.submissions} inet ",
        "inet_interfaces = all": "inet_interfaces = 127.0.0.1",
        "listen = *, ::": "listen = 127.0.0.1",
        "port = 143": f"port = {ports.imap}",
        "port = 993": f"port = {ports.imaps}",
        # No account is made: mailsvc is root, the group mailsvc-read is Postfix's own, and vmail is a number.
        "--owner=mailsvc ": "--owner=root ",
        "--group=mailsvc ": "--group=root ",
        "--group=mailsvc-read ": "--group=postfix ",
        "extra_groups = mailsvc-read": "extra_groups = postfix",
        "runuser -u mailsvc ": "runuser -u root ",
        "--owner=vmail --group=vmail ": f"--owner={_MAIL_OWNER} --group={_MAIL_OWNER} ",
        "mail_uid = vmail": f"mail_uid = {_MAIL_OWNER}",
        "mail_gid = vmail": f"mail_gid = {_MAIL_OWNER}",
        # The administrator's tools would look into the usual places.
        "postmap -q": f"postmap -c {directory}/etc/postfix -q",
        "doveadm ": f"doveadm -c {directory}/etc/dovecot/dovecot.conf ",
        "--server 127.0.0.1 ": f"--server 127.0.0.1:{ports.smtp} ",
        "kdig @127.0.0.1 ": f"kdig @127.0.0.1 -p {ports.dns} ",
    }


def _replaced(text: str, table: dict[str, str]) -> str:
    """``text`` with every key of ``table`` replaced, each of which must occur in it."""
    assert [key for key in table if key not in text] == [], "no longer in the page"
    longest_first = sorted(table, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda match: table[match[0]], text)


@dataclass(frozen=True, slots=True)
class Site:
    """What an administrator has after pasting the page: files below ``directory``, and commands yet to be run."""

    directory: Path
    ports: Ports
    page: str

    @classmethod
    def pasted(cls, directory: Path) -> "Site":
        """Every named block of the page in its file, and the directories that the page makes."""
        ports = Ports()
        site = cls(directory, ports, _replaced(_PAGE.read_text(), _replacements(directory, ports)))
        site.run(*(line for line in site.commands("1. ") if line.startswith("install ")))
        for path, text in _FILE.findall(site.page):
            assert Path(path).is_relative_to(directory), f"{path} would be written to this machine"
            site.write(Path(path), site.surrounded(Path(path).name, text))
        site.run(*(line for line in site.commands("2. ") if line.startswith(("install ", "openssl "))))
        (directory / "usr/local/sbin/mailsvc").chmod(0o755)
        return site

    def surrounded(self, name: str, text: str) -> str:
        """A block with what Debian's file has before it and what ``_ADDED`` has after it."""
        before = ""
        if name == "master.cf":
            debians = require_file("postfix", "usr/share/postfix/master.cf.dist").read_text()
            before = debians.replace("\nsmtp      inet", f"\n127.0.0.1:{self.ports.smtp} inet", 1)
        return before + text + _ADDED.get(name, "").format(directory=self.directory)

    def write(self, path: Path, text: str) -> None:
        """A file that no server thinks is still being written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (0, 0))

    def commands(self, section: str) -> list[str]:
        """The commands of a section of the page, by the beginning of its title, each on one line."""
        body = self.page.partition(f"\n## {section}")[2].partition("\n## ")[0]
        lines = "".join(_COMMANDS.findall(body)).replace("\\\n", " ").splitlines()
        assert lines, f"no commands in section {section!r}"
        return [line for line in lines if line]

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

    def unit(self, key: str) -> str:
        """A value of the systemd unit."""
        text = (self.directory / "etc/systemd/system/mailsvc.service").read_text()
        return next(line for line in text.splitlines() if line.startswith(f"{key}=")).removeprefix(f"{key}=")

    def logs(self) -> str:
        """The end of what the servers wrote."""
        return "".join(path.read_text(errors="replace")[-4000:] for path in sorted(self.directory.glob("*log")))


@contextmanager
def _mailsvc(site: Site) -> Iterator[None]:
    """The service as systemd runs it, but for the sandbox; ready when it says so."""
    assert site.unit("Type") == "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        address = site.directory / "notify"
        address.unlink(missing_ok=True)
        notifications.bind(str(address))
        notifications.setblocking(False)

        def ready() -> bool:
            with suppress(BlockingIOError):
                return b"READY=1" in notifications.recv(4096)
            return False

        assignments = shlex.split(Path(site.unit("EnvironmentFile")).read_text(), comments=True)
        environment = ["env", f"--chdir={site.unit('WorkingDirectory')}", f"NOTIFY_SOCKET={address}", *assignments]
        with running([*environment, *shlex.split(site.unit("ExecStart"))], site.directory, ready):
            yield


@contextmanager
def _postfix(site: Site) -> Iterator[None]:
    program, map_maker = require("postfix", "postfix"), require("postalias", "postfix")
    configuration = f"{site.directory}/etc/postfix"
    (site.directory / "var/spool/postfix").mkdir(parents=True)
    (site.directory / "postfix").mkdir(mode=0o700)
    shutil.chown(site.directory / "postfix", "postfix")
    site.write(site.directory / "etc/aliases", "")
    run([map_maker, "-c", configuration, f"hash:{site.directory}/etc/aliases"], site.directory)
    run([program, "-c", configuration, "check"], site.directory)
    master = require_file("postfix", "usr/lib/postfix/sbin/master")
    with running([str(master), "-c", configuration, "-d"], site.directory, lambda: _listens(site.ports.smtp)):
        yield


@contextmanager
def _dovecot(site: Site) -> Iterator[None]:
    arguments = [require("dovecot", "dovecot-core"), "-F", "-c", f"{site.directory}/etc/dovecot/dovecot.conf"]
    # Asked to end, it waits for its children for two seconds.
    with running(arguments, site.directory, lambda: _listens(site.ports.imaps), stop=signal.SIGKILL):
        yield


@contextmanager
def _powerdns(site: Site) -> Iterator[PowerDns]:
    server = PowerDns("127.0.0.1", site.ports.dns)
    directory = site.directory / "etc/powerdns"
    # Debian's own file says no more than this.
    site.write(directory / "pdns.conf", f"include-dir={directory}/pdns.d\nlaunch=\nsecurity-poll-suffix=\n")
    daemon = ["--guardian=no", "--daemon=no", "--disable-syslog", "--write-pid=no"]
    place = [f"--socket-dir={site.directory}/run", f"--local-address={server.host}", f"--local-port={server.port}"]
    account = Account("pdns", "postfix")
    (site.directory / "run").mkdir()
    shutil.chown(site.directory / "run", account.user)
    program = require("pdns_server", "pdns-server")
    arguments = [program, f"--config-dir={directory}", *daemon, *place]
    with running(arguments, site.directory, server.answers, account=account):
        yield server


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _certify(directory: Path) -> None:
    """A key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.net")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    directory.mkdir(parents=True)
    (directory / "fullchain.pem").write_bytes(certificate.public_bytes(pem))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@dataclass(frozen=True, slots=True)
class Host:
    """The whole arrangement, running."""

    site: Site
    name_server: PowerDns
    service: ExitStack
    """mailsvc; closing it stops it."""

    def call(self, operation: str, **fields: str) -> int:
        """The code that mailsvc answers to alice's panel."""
        form = {"login": "alice", "pass": "Panel-1", "module": "mailclient", "subdo": operation, **fields}
        address = f"http://127.0.0.1:{self.site.ports.http}/api/api.php"
        with urlopen(address, urlencode(form).encode(), timeout=_LIMIT) as reply:
            code: int = json.load(reply)["error"]
        return code

    def add(self, address: str, *, password: str = _SECRET, quota: int = 0) -> None:
        """A mailbox, which has to be there when this returns."""
        assert self.call("addmail", email=address, password=password, quota=str(quota)) == 0

    def smtp(self, port: int | None = None) -> smtplib.SMTP:
        """A greeted connection to port 25, or another one."""
        connection = smtplib.SMTP("127.0.0.1", port or self.site.ports.smtp, "client.test", timeout=_LIMIT)
        connection.ehlo()
        return connection

    def recipient(self, address: str, *, size: int = 1000) -> tuple[int, str]:
        """What Postfix says to a foreign server that has mail of ``size`` bytes for ``address``."""
        with self.smtp() as connection:
            connection.mail(_SENDER, [f"size={size}"])
            code, text = connection.rcpt(address)
        return code, text.decode()

    def send(self, recipient: str, subject: str) -> None:
        """Mail from outside, wherever it goes: there when this returns."""
        with self.smtp() as connection:
            connection.sendmail(_SENDER, [recipient], f"From: {_SENDER}\r\nSubject: {subject}\r\n\r\nHello\r\n")
        self.wait_for_delivery()

    def wait_for_delivery(self) -> None:
        """Until nothing is queued; nothing may have to be tried again."""
        queues = [self.site.directory / "var/spool/postfix" / name for name in ("incoming", "active", "deferred")]
        expires = time.monotonic() + _LIMIT
        while queued := [path for queue in queues for path in queue.rglob("*") if path.is_file()]:
            assert not any("deferred" in path.parts for path in queued), self.site.logs()
            assert time.monotonic() < expires, self.site.logs()
            time.sleep(0.01)

    def tls(self) -> ssl.SSLContext:
        """Trusts the certificate of this run alone."""
        return ssl.create_default_context(
            cafile=self.site.directory / "etc/letsencrypt/live/mail.example.net/fullchain.pem"
        )

    def inbox(self, address: str, password: str = _SECRET) -> list[str]:
        """The subjects of the messages in an inbox, oldest first. imaplib's error when the login is refused."""
        with imaplib.IMAP4_SSL("127.0.0.1", self.site.ports.imaps, ssl_context=self.tls(), timeout=_LIMIT) as imap:
            imap.login(address, password)
            imap.select(readonly=True)
            numbers = imap.search(None, "ALL")[1][0].split()
            return [_subject(imap, number.decode()) for number in numbers]

    def lets_in(self, address: str, password: str = _SECRET) -> bool:
        """Whether that is the password of a mailbox."""
        try:
            self.inbox(address, password)
        except imaplib.IMAP4.error as refusal:
            assert "AUTHENTICATIONFAILED" in str(refusal), f"{refusal}\n{self.site.logs()}"
            return False
        return True


def _subject(imap: imaplib.IMAP4, number: str) -> str:
    part = imap.fetch(number, "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0]
    assert isinstance(part, tuple)
    return part[1].decode().strip().removeprefix("Subject: ")


def _authenticated(connection: smtplib.SMTP, user: str, password: str) -> int:
    """The code that answers one attempt; smtplib's own login makes two."""
    return connection.docmd("AUTH PLAIN", base64.b64encode(f"\0{user}\0{password}".encode()).decode())[0]


def _require_all() -> None:
    """Every program and plug-in that the page uses; and root, as whom alone Postfix's master runs."""
    require("postfix", "postfix")
    require_file("postfix-sqlite", "usr/lib*/postfix/postfix-sqlite.so")
    require("dovecot", "dovecot-core")
    require_file("dovecot-imapd", "usr/lib*/dovecot/imap")
    require_file("dovecot-lmtpd", "usr/lib*/dovecot/lmtp")
    require_file("dovecot-sqlite", "usr/lib*/dovecot/modules/libdriver_sqlite.so")
    require("pdns_server", "pdns-server")
    require_file("pdns-backend-sqlite3", "usr/lib*/*/pdns/libgsqlite3backend.so")
    require("kdig", "knot-dnsutils")
    require("swaks", "swaks")
    require("curl", "curl")
    require("openssl", "openssl")
    if os.geteuid() != 0:
        pytest.skip("Postfix's master runs as root only")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The page pasted, nothing running yet."""
    _require_all()
    with run_directory("mailhost") as directory:
        site = Site.pasted(directory)
        _certify(directory / "etc/letsencrypt/live/mail.example.net")
        yield site


@pytest.fixture(scope="module")
def host(site: Site) -> Iterator[Host]:
    """All servers running, after the first call of the page. At the end, none may have complained."""
    with ExitStack() as stack:
        service = stack.enter_context(ExitStack())
        service.enter_context(_mailsvc(site))
        site.run(*(line for line in site.commands("2. ") if line.startswith(("mailsvc ", "curl "))))
        stack.enter_context(_postfix(site))
        stack.enter_context(_dovecot(site))
        name_server = stack.enter_context(_powerdns(site))
        yield Host(site, name_server, service)
        written = "".join((site.directory / name).read_text() for name in ("postfix.log", "dovecot.log"))
        assert _COMPLAINT.findall(written) == []


def test_the_checks_of_the_page_succeed_but_the_last(host: Host) -> None:
    *checks, last = host.site.commands("7. ")
    host.site.run(*checks)

    outcome = host.site.outcome(last)
    assert outcome.returncode != 0
    assert "550 5.1.1" in outcome.stdout
    assert "User unknown in virtual mailbox table" in outcome.stdout


def test_a_mailbox_receives_and_lets_in_from_the_0_of_addmail_on(host: Host) -> None:
    assert host.recipient("new@example.org")[0] == 550
    assert not host.lets_in("new@example.org")

    host.add("new@example.org")

    assert host.inbox("new@example.org") == []
    assert host.recipient("new@example.org")[0] == 250
    host.send("New@Example.ORG", "first")
    assert host.inbox("new@example.org") == ["first"]
    assert not host.lets_in("new@example.org", "Box-2")
    assert host.lets_in("NEW@example.org")


def test_strangers_cannot_send_to_the_unknown_nor_through(host: Host) -> None:
    code, text = host.recipient("nobody@example.org")
    assert (code, "User unknown in virtual mailbox table" in text) == (550, True)
    assert host.recipient("x'or'1'='1@example.org")[0] == 550
    code, text = host.recipient("someone@not-ours.test")
    assert (code, "Relay access denied" in text) == (554, True)


def test_what_follows_a_plus_belongs_to_the_box_before_it_unless_it_has_a_box(host: Host) -> None:
    host.add("ann@example.org")
    host.add("ann+shop@example.org")

    host.send("ann+bank@example.org", "to ann")
    host.send("ann+shop@example.org", "to the shop's box")

    assert host.inbox("ann@example.org") == ["to ann"]
    assert host.inbox("ann+shop@example.org") == ["to the shop's box"]
    assert host.recipient("ben+ann@example.org")[0] == 550


def test_a_forward_without_local_copy_and_one_with(host: Host) -> None:
    for address in ("away@example.org", "both@example.org", "target@example.org"):
        host.add(address)
    assert host.call("addforward", source="away@example.org", target="target@example.org") == 0
    assert host.call("addforward", source="both@example.org", target="target@example.org", save_local="1") == 0
    assert host.call("addforward", source="no-box@example.org", target="away@example.org,both@example.org") == 0

    host.send("away@example.org", "away")
    host.send("both@example.org", "both")
    assert (host.inbox("away@example.org"), host.inbox("both@example.org")) == ([], ["both"])
    assert host.inbox("target@example.org") == ["away", "both"]

    host.send("no-box@example.org", "chain")
    assert (host.inbox("away@example.org"), host.inbox("both@example.org")) == ([], ["both", "chain"])
    assert host.inbox("target@example.org") == ["away", "both", "chain"]

    assert host.call("delforward", source="away@example.org") == 0
    host.send("away@example.org", "back")
    assert host.inbox("away@example.org") == ["back"]


def test_a_deleted_mailbox_is_refused_and_a_new_one_in_its_place_is_empty(host: Host) -> None:
    host.add("again@example.org")
    host.send("again@example.org", "of the predecessor")
    assert host.inbox("again@example.org") == ["of the predecessor"]

    assert host.call("delmail", email="again@example.org") == 0
    assert host.recipient("again@example.org")[0] == 550
    assert not host.lets_in("again@example.org")

    host.add("again@example.org")
    assert host.inbox("again@example.org") == []
    host.send("again@example.org", "of the successor")
    assert host.inbox("again@example.org") == ["of the successor"]


def test_over_quota_is_refused_at_once_and_zero_is_no_limit(host: Host) -> None:
    host.add("small@example.org", quota=1)
    host.add("large@example.org", quota=0)

    code, text = host.recipient("small@example.org", size=1_100_000)
    assert (code, "Mailbox is full" in text) == (552, True)
    assert host.recipient("small@example.org", size=900_000)[0] == 250
    assert host.recipient("large@example.org", size=30_000_000)[0] == 250
    host.site.run("mailsvc mailbox quota small@example.org 2")
    assert host.recipient("small@example.org", size=1_100_000)[0] == 250


def test_a_user_sends_after_login_and_only_in_his_own_name(host: Host) -> None:
    host.add("carl@example.org")
    host.add("dora@example.org")
    with host.smtp(host.site.ports.submission) as connection:
        assert not connection.has_extn("auth")
        connection.starttls(context=host.tls())
        assert connection.login("carl@example.org", _SECRET)[0] == 235
        connection.sendmail("carl@example.org", ["dora@example.org"], "Subject: mine\r\n\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="not owned by user carl@"):
            connection.sendmail("dora@example.org", ["carl@example.org"], "Subject: not mine\r\n\r\n")
    host.wait_for_delivery()
    assert (host.inbox("carl@example.org"), host.inbox("dora@example.org")) == ([], ["mine"])


def test_nobody_sends_with_a_wrong_password_or_from_a_disabled_mailbox(host: Host) -> None:
    host.add("emil@example.org")
    host.site.run("mailsvc mailbox disable emil@example.org")
    port, refused, accepted = host.site.ports.submissions, 535, 235
    with smtplib.SMTP_SSL("127.0.0.1", port, "client.test", timeout=_LIMIT, context=host.tls()) as connection:
        connection.ehlo()
        assert _authenticated(connection, "emil@example.org", _SECRET) == refused
        host.site.run("mailsvc mailbox enable emil@example.org")
        assert _authenticated(connection, "emil@example.org", "Box-2") == refused
        assert _authenticated(connection, "emil@example.org", _SECRET) == accepted


def test_records_are_served_as_soon_as_they_are_switched(host: Host) -> None:
    host.site.run("mailsvc domain add dns.example --owner alice")
    key = "mail._domainkey.dns.example"
    assert host.name_server.txt("dns.example") == []

    assert host.call("onspf", domain="dns.example") == 0
    assert host.name_server.txt("dns.example") == ["v=spf1 mx ~all"]
    assert host.call("ondkim", domain="dns.example") == 0
    assert host.name_server.txt(key)[0].startswith("v=DKIM1; ")
    assert host.name_server.query("_domainkey.dns.example", "TXT").rcode() == dns.rcode.NOERROR
    assert "10 mail.example.net." in str(host.name_server.query("dns.example", "MX").answer[0])

    assert host.call("offspf", domain="dns.example") == 0
    assert host.call("offdkim", domain="dns.example") == 0
    assert host.name_server.txt("dns.example") == host.name_server.txt(key) == []


def test_mail_goes_on_while_mailsvc_is_stopped(host: Host) -> None:
    host.add("steady@example.org")
    host.service.close()
    try:
        host.send("steady@example.org", "meanwhile")
        assert host.inbox("steady@example.org") == ["meanwhile"]
        assert "SOA" in str(host.name_server.query("example.org", "SOA").answer[0])
    finally:
        host.service.enter_context(_mailsvc(host.site))
    host.add("later@example.org")
    assert host.lets_in("later@example.org")


@pytest.fixture(scope="module")
def used_before() -> Iterator[Site]:
    """A site whose service has run and was stopped. No server reads its database, as after a boot."""
    _require_all()
    with run_directory("mailhost") as directory:
        site = Site.pasted(directory)
        with _mailsvc(site):
            site.run(*(line for line in site.commands("2. ") if line.startswith("mailsvc ")))
        yield site


def test_readers_can_start_before_the_first_request(used_before: Site) -> None:
    look_up = used_before.commands("7. ")[0]
    assert used_before.outcome(look_up).stdout == "example.org\n"
    with _mailsvc(used_before):
        assert used_before.outcome(look_up).stdout == "example.org\n"


def test_after_a_crash_the_unit_mends_what_readers_need(used_before: Site) -> None:
    for companion in files.companions(used_before.directory / "var/lib/mailsvc/mailsvc.sqlite3"):
        companion.unlink(missing_ok=True)
    look_up = used_before.commands("7. ")[0]
    assert "attempt to write a readonly database" in used_before.outcome(look_up).stderr

    used_before.run(used_before.unit("ExecStopPost").removeprefix("-"))

    assert used_before.outcome(look_up).stdout == "example.org\n"


def test_the_settings_for_other_name_servers_are_settings(tmp_path: Path) -> None:
    (tmp_path / "rfc2136-secret").write_text("c2VjcmV0\n")
    blocks = [
        dict(word.split("=", 1) for word in shlex.split(block.replace("/etc/mailsvc", str(tmp_path))))
        for block in _SETTINGS.findall(_PAGE.read_text())
    ]
    assert [config.load(block).dns for block in blocks] == ["rfc2136", "zonefile"]
