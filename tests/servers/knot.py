"""A private Knot DNS, and what a test knows of any name server that takes zone files."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdtypes.ANY.TXT

from tests.servers import free_port, require
from tests.servers.process import run_directory, running

KEY_NAME = "mailsvc-update"
KEY_SECRET = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True, slots=True)
class NameServer:
    """A running name server: where it listens (UDP and TCP) and its TSIG key (hmac-sha256)."""

    host: str
    port: int
    reload: tuple[str, ...] = ()
    """The arguments that reload the zone ``{domain}`` from its file."""

    key_name: str = KEY_NAME
    key_secret: str = KEY_SECRET

    def query(self, name: str, rdtype: str) -> dns.message.Message:
        """The whole answer, by TCP, without recursion."""
        question = dns.message.make_query(name, rdtype, flags=0)
        return dns.query.tcp(question, self.host, timeout=5, port=self.port)

    def txt(self, name: str) -> list[str]:
        """The TXT records of ``name``, each in one piece, in alphabetical order."""
        return sorted(
            b"".join(record.strings).decode()
            for rrset in self.query(name, "TXT").answer
            for record in rrset
            if isinstance(record, dns.rdtypes.ANY.TXT.TXT)
        )

    def answers_for(self, zone: str) -> bool:
        """Whether it has loaded ``zone`` by now."""
        try:
            return bool(self.query(zone, "SOA").flags & dns.flags.AA)
        except (OSError, EOFError, dns.exception.DNSException):
            return False


@contextmanager
def knot(zones: Mapping[str, str], *, updates: bool = True) -> Iterator[NameServer]:
    """Knot with these zones (name -> text of the zone file). If ``updates``, the key may change their TXT records."""
    program, control = require("knotd", "knot"), require("knotc", "knot")
    with run_directory("knot") as directory:
        reload = (control, "-b", "-s", f"{directory}/knot.sock", "zone-reload", "{domain}")
        server = NameServer("127.0.0.1", free_port(), reload)
        write_zones(directory, zones)
        (directory / "knot.conf").write_text(_configuration(directory, server, zones, updates))
        last = list(zones)[-1]
        with running([program, "-c", f"{directory}/knot.conf"], directory, lambda: server.answers_for(last)):
            yield server


def write_zones(directory: Path, zones: Mapping[str, str]) -> None:
    """Each zone in a file of its own, ``<zone>.zone``."""
    for name, text in zones.items():
        (directory / f"{name}.zone").write_text(text)


def _configuration(directory: Path, server: NameServer, zones: Mapping[str, str], updates: bool) -> str:
    access = "    acl: update\n" if updates else ""
    listed = "".join(f'  - domain: {name}\n    file: "{directory}/{name}.zone"\n{access}' for name in zones)
    return f"""
server:
  rundir: "{directory}"
  listen: {server.host}@{server.port}
control:
  listen: "{directory}/knot.sock"
log:
  - target: stderr
    any: info
database:
  storage: "{directory}"
key:
  - id: {server.key_name}
    algorithm: hmac-sha256
    secret: {server.key_secret}
acl:
  - id: update
    key: {server.key_name}
    action: update
    update-type: [TXT]
zone:
{listed}"""
