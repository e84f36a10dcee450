"""A private Dovecot with mailboxes: a foreign IMAP and POP3 server, and a place to deliver to by LMTP."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import free_port, require, require_file
from tests.servers.certificates import Authority
from tests.servers.process import Account, run_directory, running

_PACKAGES = "dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd"

_PROTOCOLS = ("usr/share/dovecot/protocols.d/{}.protocol", "usr/lib*/dovecot/{}")

_MAIN = """
instance_name = {directory.name}
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = {no_plaintext}
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
first_valid_uid = 1
login_trusted_networks =
mail_location = maildir:~/Maildir
mail_fsync = never
mail_max_userip_connections = 200
postmaster_address = postmaster@foreign.test
{accounts}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%u allow_all_users=yes
}}
service anvil {{
  {no_chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  {no_chroot}
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  {no_chroot}
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
  unix_listener {directory}/lmtp {{
    mode = 0666
  }}
}}
service stats {{
  {no_chroot}
}}
"""

PASSWORD = "Foreign-1"

MAIL_UID = 20_000
"""Whom the mail belongs to when root runs the tests: Dovecot reads none of root's."""


@dataclass(frozen=True, slots=True)
class DovecotMail:
    """A running Dovecot. Its ports are on 127.0.0.1."""

    doveadm: str
    directory: Path
    imap: int
    imaps: int
    pop3: int
    pop3s: int
    lmtp: int

    @property
    def certificate(self) -> Path:
        """Of the authority that vouches for it."""
        return self.directory / "authority.pem"

    @property
    def lmtp_socket(self) -> Path:
        """The same service as the ``lmtp`` port."""
        return self.directory / "lmtp"

    def maildir(self, user: str) -> Path:
        """Where the mail of ``user`` lies; made if it is not there yet."""
        maildir = self.directory / "mail" / user / "Maildir"
        for path in (maildir.parent, maildir, maildir / "new", maildir / "cur", maildir / "tmp"):
            if not path.exists():
                path.mkdir()
                self.own(path)
        return maildir

    def own(self, path: Path) -> None:
        """Let Dovecot read and write ``path``."""
        if os.geteuid() == 0:
            os.chown(path, MAIL_UID, MAIL_UID)

    def put(self, user: str, message: bytes, name: str) -> None:
        """Drop a message into INBOX of ``user``, unseen. ``name`` must be of its own."""
        draft = self.maildir(user) / "tmp" / name
        draft.write_bytes(message.replace(b"\r\n", b"\n"))
        self.own(draft)
        draft.rename(draft.parent.parent / "new" / name)

    def messages(self, user: str) -> list[bytes]:
        """Everything in INBOX of ``user``, in the order of arrival."""
        maildir = self.maildir(user)
        files = [*(maildir / "new").iterdir(), *(maildir / "cur").iterdir()]
        return [path.read_bytes() for path in sorted(files, key=lambda path: path.name.split(":")[0])]

    def unseen(self, user: str) -> int:
        """How many messages in INBOX of ``user`` nobody has marked as seen."""
        return int(self.run("mailbox", "status", "-u", user, "unseen", "INBOX").split("unseen=")[1])

    def run(self, *arguments: str) -> str:
        """What doveadm prints."""
        return subprocess.run(
            [self.doveadm, "-c", str(self.directory / "dovecot.conf"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def answers(self) -> bool:
        """Whether it takes connections by now."""
        return all(map(_answers, (self.imap, self.imaps, self.pop3, self.pop3s, self.lmtp)))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def dovecot_mail(
    *,
    mechanisms: str = "plain login cram-md5",
    no_plaintext: bool = False,
    more: str = "",
) -> Iterator[DovecotMail]:
    """Dovecot in which everybody has a mailbox, with the password PASSWORD; ``more`` is added to its configuration."""
    program, doveadm = require("dovecot", _PACKAGES), require("doveadm", _PACKAGES)
    for protocol in ("imap", "pop3", "lmtp"):
        require_file(f"dovecot-{protocol}d", *(pattern.format(protocol) for pattern in _PROTOCOLS))
    with run_directory("dovecot") as directory:
        server = DovecotMail(doveadm, directory, *(free_port() for _ in range(5)))
        _configure(server, mechanisms, no_plaintext, more)
        arguments = [program, "-F", "-c", str(directory / "dovecot.conf")]
        with running(arguments, directory, server.answers, stop=signal.SIGTERM):
            yield server


def _configure(server: DovecotMail, mechanisms: str, no_plaintext: bool, more: str) -> None:
    directory, own, root = server.directory, Account.own(), os.geteuid() == 0
    pair = Authority(directory).pair("localhost", "127.0.0.1")
    (directory / "mail").mkdir()
    if root:
        shutil.chown(directory / "mail", MAIL_UID, MAIL_UID)
    accounts = (
        f"default_internal_user = {own.user}\ndefault_internal_group = {own.group}\ndefault_login_user = {own.user}\n"
    )
    text = _MAIN.format(
        directory=directory,
        uid=MAIL_UID if root else os.geteuid(),
        gid=MAIL_UID if root else os.getegid(),
        accounts="" if root else accounts,
        no_chroot="" if root else "chroot =",
        no_plaintext="yes" if no_plaintext else "no",
        password=PASSWORD,
        certificate=pair.certificate,
        key=pair.key,
        mechanisms=mechanisms,
        imap=server.imap,
        imaps=server.imaps,
        pop3=server.pop3,
        pop3s=server.pop3s,
        lmtp=server.lmtp,
    )
    (directory / "dovecot.conf").write_text(text + more)
