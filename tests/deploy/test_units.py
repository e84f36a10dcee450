"""The systemd units: valid, complete, and hardened as the pages say."""

import configparser
import subprocess
from pathlib import Path

import pytest

import config
from tests.servers import require

DEPLOY = config.ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
SERVICES = [path for path in UNITS if path.suffix == ".service"]

HARDENED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "ProtectKernelTunables": "yes", "RestrictNamespaces": "yes", "LockPersonality": "yes",
    "SystemCallFilter": "@system-service",
}  # fmt: skip

SERVERS = ("postfix@-.service", "dovecot.service", "pdns.service")


def section(path: Path, name: str) -> dict[str, str]:
    """The assignments of one section of a unit."""
    # Not strict: some assignments may be repeated.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(path)
    return dict(parser[name])


def test_there_is_a_unit_for_each_process() -> None:
    names = {path.name for path in UNITS}
    assert names >= {
        "mailsvc.service", "mailsvc-milter.service", "mailsvc-purge.service", "mailsvc-purge.timer",
        "mailsvc-dkim.service", "mailsvc-dkim.timer",
    }  # fmt: skip


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_has_nothing_to_say_of_it(path: Path, tmp_path: Path) -> None:
    verify = require("systemd-analyze", "systemd")
    python = tmp_path / "python"
    python.touch(mode=0o755)
    for unit in UNITS:
        # What it starts, and as whom, is not on this machine.
        text = unit.read_text().replace("/opt/mailsvc/.venv/bin/python", str(python))
        text = text.replace("User=mailsvc\nGroup=mailsvc\n", "User=daemon\nGroup=daemon\n")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [verify, "verify", "--man=no", str(tmp_path / path.name)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "mailsvc" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_a_service_may_do_what_it_must_and_no_more(path: Path) -> None:
    unit = section(path, "Service")
    assert {name: unit.get(name) for name in HARDENED} == HARDENED
    assert set(unit["ReadWritePaths"].split()) <= {"/var/lib/mailsvc", "/var/vmail"}
    if path.name != "mailsvc-purge.service":
        assert (unit["User"], unit["CapabilityBoundingSet"]) == ("mailsvc", "")


@pytest.mark.parametrize("name", ["mailsvc.service", "mailsvc-milter.service"])
def test_what_mail_needs_is_there_before_the_servers(name: str) -> None:
    before = section(DEPLOY / name, "Unit")["Before"].split()
    assert before == [server for server in SERVERS if server in before] and before[0] == SERVERS[0]


def test_no_unit_stops_a_mail_server_with_it() -> None:
    strong = {"Requires", "BindsTo", "PartOf", "Conflicts", "RequiredBy"}
    for path in UNITS:
        assert strong.isdisjoint(section(path, "Unit"))
        assert strong.isdisjoint(section(path, "Install") if "[Install]" in path.read_text() else {})
