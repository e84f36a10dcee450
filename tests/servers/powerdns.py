"""A private PowerDNS that answers from the views of a SQLite file, as the rendered configuration has it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from mailsvc.mailhost.render import rendered
from tests.servers import free_port, require, require_file
from tests.servers.places import layout_for
from tests.servers.process import run_directory, running

_SQLITE_BACKEND = ("usr/lib*/*/pdns/libgsqlite3backend.so", "usr/lib*/pdns/libgsqlite3backend.so")


@dataclass(frozen=True, slots=True)
class PowerDns:
    """A running PowerDNS. It caches nothing: what was committed before a question is in its answer."""

    host: str
    port: int

    def query(self, name: str, rdtype: str) -> dns.message.Message:
        """The whole answer, by UDP, and by TCP where it is too long for that."""
        question = dns.message.make_query(name, rdtype)
        answer, _ = dns.query.udp_with_fallback(question, self.host, timeout=5, port=self.port)
        return answer

    def txt(self, name: str) -> list[str]:
        """The TXT records of ``name``, each in one piece, in alphabetical order."""
        return sorted(
            b"".join(record.strings).decode()
            for rrset in self.query(name, "TXT").answer
            for record in rrset
            if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
        )

    def answers(self) -> bool:
        """Whether it takes questions by now."""
        question = dns.message.make_query("version.bind", "TXT", "CH")
        try:
            dns.query.tcp(question, self.host, timeout=2, port=self.port)
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return True


@contextmanager
def powerdns(database: Path) -> Iterator[PowerDns]:
    """PowerDNS on the SQLite file ``database``, run as whoever runs the tests."""
    program = require("pdns_server", "pdns-server pdns-backend-sqlite3")
    backend = require_file("pdns-backend-sqlite3", *_SQLITE_BACKEND)
    _must_have_views(database)
    with run_directory("powerdns") as directory:
        server = PowerDns("127.0.0.1", free_port())
        (directory / "pdns.conf").write_text(_configuration(database, backend.parent, directory, server))
        with running([program, f"--config-dir={directory}"], directory, server.answers):
            yield server


def _must_have_views(database: Path) -> None:
    """PowerDNS starts on any file, even on one that it makes itself, and then refuses every question."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("SELECT 1 FROM pdns_domain, pdns_record LIMIT 1")


def _configuration(database: Path, modules: Path, directory: Path, server: PowerDns) -> str:
    layout = layout_for(database)
    return f"""
launch=
{rendered(layout, {})["powerdns/mailsvc.conf"]}
module-dir={modules}
local-address={server.host}
local-port={server.port}
socket-dir={directory}
daemon=no
guardian=no
disable-syslog=yes
security-poll-suffix=
receiver-threads=1
distributor-threads=1
"""
