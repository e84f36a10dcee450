"""The servers of a site, each started as its package starts it: mailsvc, Postfix, Dovecot, PowerDNS."""

import ipaddress
import os
import re
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.mailhost.host import Daemon, Host
from tests.mailhost.site import Site
from tests.servers import debian_13, require, require_file
from tests.servers.powerdns import PowerDns
from tests.servers.process import Account, run, run_directory, running

_KEPT = 'trap "kill \\$child" TERM; "$0" "$@" & child=$!; wait $child; wait $child'
"""A shell that ends its child when it is ended: Postfix's master, which changes its user, is not told when its parent
is gone."""

_COMPLAINT = re.compile(r"(?i).*\b(?:fatal|panic|error)\b.*")


def require_all() -> None:
    """Every program and plug-in that the page uses; and root, as whom alone Postfix's master runs."""
    require("postfix", "postfix")
    require_file("postfix-sqlite", "usr/lib*/postfix/postfix-sqlite.so")
    require("dovecot", "dovecot-core")
    require_file("dovecot-imapd", "usr/lib*/dovecot/imap")
    require_file("dovecot-pop3d", "usr/lib*/dovecot/pop3")
    require_file("dovecot-lmtpd", "usr/lib*/dovecot/lmtp")
    require_file("dovecot-sqlite", "usr/lib*/dovecot/modules/libdriver_sqlite.so")
    require_file("dovecot-sieve", "usr/lib*/dovecot/modules/lib90_sieve_plugin.so")
    require_file("dovecot-managesieved", "usr/lib*/dovecot/managesieve")
    require("pdns_server", "pdns-server")
    require_file("pdns-backend-sqlite3", "usr/lib*/*/pdns/libgsqlite3backend.so")
    require("kdig", "knot-dnsutils")
    require("sqlite3", "sqlite3")
    require("swaks", "swaks")
    require("curl", "curl")
    require("openssl", "openssl")
    if os.geteuid() != 0:
        pytest.skip("Postfix's master runs as root only")


@contextmanager
def running_host(*, milter: bool = False, newer: bool = False) -> Iterator[Host]:
    """Everything installed by the page and running, after the page's first calls of mailsvc.

    ``newer`` takes Dovecot from Debian 13.
    """
    require_all()
    with run_directory("mailhost") as directory, ExitStack() as stack:
        site = Site.pasted(directory, milter=milter)
        certify(directory / "tls")
        service = stack.enter_context(Daemon(lambda: mailsvc(site)))
        site.make_first_mailbox()
        site.configure_servers(dovecot="2.4" if newer else "2.3")
        stack.enter_context(postfix(site))
        stack.enter_context(dovecot_of_debian_13(site) if newer else dovecot(site))
        yield Host(site, stack.enter_context(powerdns(site)), service)


@contextmanager
def mailsvc(site: Site) -> Iterator[int]:
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

        place = ["env", f"--chdir={site.unit('WorkingDirectory')}", f"NOTIFY_SOCKET={address}"]
        arguments = [*place, *site.environment(), *shlex.split(site.unit("ExecStart"))]
        with running(arguments, site.directory, ready) as pid:
            yield pid


@contextmanager
def postfix(site: Site) -> Iterator[int]:
    """Postfix's master, as ``postfix start`` starts it."""
    program, map_maker = require("postfix", "postfix"), require("postalias", "postfix")
    configuration = f"{site.directory}/etc/postfix"
    (site.directory / "var/spool/postfix").mkdir(parents=True, exist_ok=True)
    (site.directory / "postfix").mkdir(mode=0o700, exist_ok=True)
    shutil.chown(site.directory / "postfix", "postfix")
    site.write(site.directory / "etc/aliases", "")
    run([map_maker, "-c", configuration, f"hash:{site.directory}/etc/aliases"], site.directory)
    run([program, "-c", configuration, "check"], site.directory)
    master = require_file("postfix", "usr/lib/postfix/sbin/master")
    arguments = ["sh", "-c", _KEPT, str(master), "-c", configuration, "-d"]
    # It opens one port after the other, and ends when one of them is taken: only then is it up.
    before = _starts(site)
    with running(arguments, site.directory, lambda: _starts(site) > before) as pid:
        yield pid


@contextmanager
def dovecot(site: Site) -> Iterator[int]:
    """Dovecot, all of its protocols."""
    arguments = [require("dovecot", "dovecot-core"), "-F", "-c", f"{site.directory}/etc/dovecot/dovecot.conf"]
    # Asked to end, it waits for its children for two seconds.
    with running(arguments, site.directory, lambda: _listens(site.ports.sieve), stop=signal.SIGKILL) as pid:
        yield pid


@contextmanager
def dovecot_of_debian_13(site: Site) -> Iterator[int]:
    """Dovecot 2.4 out of a Debian 13 root, on the same files and sockets."""
    arguments = ["/usr/sbin/dovecot", "-F", "-c", f"{site.directory}/etc/dovecot/dovecot.conf"]
    command = debian_13.inside(site.directory, *arguments)
    try:
        with running(command, site.directory, lambda: _listens(site.ports.sieve), stop=signal.SIGKILL) as pid:
            yield pid
    finally:
        debian_13.forget(site.directory)


@contextmanager
def powerdns(site: Site) -> Iterator[PowerDns]:
    """PowerDNS with Debian's own main file."""
    server = PowerDns("127.0.0.1", site.ports.dns)
    directory = site.directory / "etc/powerdns"
    # Debian's own file says no more than this.
    site.write(directory / "pdns.conf", f"include-dir={directory}/pdns.d\nlaunch=\nsecurity-poll-suffix=\n")
    daemon = ["--guardian=no", "--daemon=no", "--disable-syslog", "--write-pid=no"]
    place = [f"--socket-dir={site.directory}/run", f"--local-address={server.host}", f"--local-port={server.port}"]
    account = Account("pdns", "postfix")
    (site.directory / "run").mkdir(exist_ok=True)
    shutil.chown(site.directory / "run", account.user)
    program = require("pdns_server", "pdns-server")
    arguments = [program, f"--config-dir={directory}", *daemon, *place]
    with running(arguments, site.directory, server.answers, account=account):
        yield server


def _starts(site: Site) -> int:
    """How often Postfix's master has opened all its ports."""
    log = site.directory / "postfix.log"
    return log.read_text(errors="replace").count("daemon started") if log.exists() else 0


def complaints(site: Site) -> list[str]:
    """What Postfix and Dovecot have complained of so far."""
    logs = [site.directory / "postfix.log", site.directory / "dovecot.log"]
    return _COMPLAINT.findall("".join(log.read_text(errors="replace") for log in logs if log.exists()))


def certify(directory: Path) -> None:
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


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
