"""A private PowerDNS that answers from the views ``pdns_domain`` and ``pdns_record`` of a SQLite file."""

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

from tests.servers import free_port, require, require_file
from tests.servers.process import run_directory, running

_SQLITE_BACKEND = ("usr/lib*/*/pdns/libgsqlite3backend.so", "usr/lib*/pdns/libgsqlite3backend.so")

_RECORD = "SELECT content, ttl, prio, type, domain_id, disabled, name, auth FROM pdns_record WHERE disabled = 0"
_DOMAIN = "SELECT id, name, '' AS master, 0 AS last_check, serial AS notified_serial, type"

_QUERIES = {
    "basic-query": f"{_RECORD} AND type = :qtype AND name = :qname",
    "id-query": f"{_RECORD} AND type = :qtype AND name = :qname AND domain_id = :domain_id",
    "any-query": f"{_RECORD} AND name = :qname",
    "any-id-query": f"{_RECORD} AND name = :qname AND domain_id = :domain_id",
    "list-query": f"{_RECORD} AND (1 OR :include_disabled) AND domain_id = :domain_id ORDER BY name, type",
    "list-subzone-query": f"{_RECORD} AND (name = :zone OR name LIKE :wildzone) AND domain_id = :domain_id",
    "info-zone-query": f"{_DOMAIN}, '' AS options, '' AS catalog, '' AS account FROM pdns_domain WHERE name = :domain",
    "get-all-domains-query": (
        "SELECT d.id, d.name, r.content, d.type, '' AS master, d.serial, 0 AS last_check, '' AS account"
        " FROM pdns_domain d"
        " LEFT JOIN pdns_record r ON r.domain_id = d.id AND r.type = 'SOA' AND r.name = d.name"
        " WHERE r.disabled = 0 OR :include_disabled"
    ),
    "get-domain-metadata-query": "SELECT '' AS content WHERE :domain IS NULL AND :kind IS NULL",
    "get-all-domain-metadata-query": "SELECT '' AS kind, '' AS content WHERE :domain IS NULL",
}
"""gsqlite3's queries over the views. There is no metadata table, so those two find nothing."""

_NO_CACHE = """
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
zone-metadata-cache-ttl=0
"""


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
    queries = "\n".join(f"gsqlite3-{name}={text}" for name, text in _QUERIES.items())
    return f"""
launch=gsqlite3
module-dir={modules}
gsqlite3-database={database}
gsqlite3-pragma-journal-mode=
gsqlite3-dnssec=no
{queries}
local-address={server.host}
local-port={server.port}
socket-dir={directory}
daemon=no
guardian=no
disable-syslog=yes
security-poll-suffix=
receiver-threads=1
distributor-threads=1
{_NO_CACHE}"""
