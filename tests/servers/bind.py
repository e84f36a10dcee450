"""A private BIND."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, require
from tests.servers.knot import NameServer, write_zones
from tests.servers.process import run_directory, running


@contextmanager
def bind(zones: Mapping[str, str], *, updates: bool = True) -> Iterator[NameServer]:
    """BIND with these zones (name -> text of the zone file). If ``updates``, the key may change their TXT records."""
    program, control = require("named", "bind9"), require("rndc", "bind9")
    with run_directory("bind") as directory:
        control_port = free_port()
        rndc = (control, "-c", f"{directory}/rndc.conf", "-s", "127.0.0.1", "-p", str(control_port))
        server = NameServer("127.0.0.1", free_port(), (*rndc, "reload", "{domain}"))
        write_zones(directory, zones)
        (directory / "named.conf").write_text(_configuration(directory, server, control_port, zones, updates))
        (directory / "rndc.conf").write_text(f"{_key(server)}options {{ default-key {server.key_name}; }};\n")
        # AppArmor confines the program by its path, to directories that are not ours.
        own = str(shutil.copy(program, directory / "named"))
        last = list(zones)[-1]
        arguments = [own, "-g", "-n", "1", "-c", f"{directory}/named.conf"]
        with running(arguments, directory, lambda: server.answers_for(last)):
            yield server


def _key(server: NameServer) -> str:
    return f'key {server.key_name} {{ algorithm hmac-sha256; secret "{server.key_secret}"; }};\n'


def _configuration(
    directory: Path, server: NameServer, control_port: int, zones: Mapping[str, str], updates: bool
) -> str:
    policy = f"update-policy {{ grant {server.key_name} zonesub TXT; }};" if updates else ""
    listed = "\n".join(f'zone "{name}" {{ type primary; file "{name}.zone"; {policy} }};' for name in zones)
    return f"""
{_key(server)}
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    managed-keys-directory "{directory}";
    listen-on port {server.port} {{ {server.host}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
    dnssec-validation no;
    empty-zones-enable no;
}};
controls {{ inet 127.0.0.1 port {control_port} allow {{ 127.0.0.1; }} keys {{ {server.key_name}; }}; }};
{listed}
"""
