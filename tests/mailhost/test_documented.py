"""The commands of docs/install.md, run one by one, and what docs/mail-servers.md says of settings."""

import re
import shlex
from pathlib import Path

import config
from tests.mailhost.host import Host

EXPLANATIONS = config.ROOT / "docs" / "mail-servers.md"

_SETTINGS = re.compile(r"^```sh\n# appended to [^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_checks_of_the_page_succeed_but_the_last(host: Host) -> None:
    *checks, last = host.site.commands("5. ")
    host.site.run(*checks)

    outcome = host.site.outcome(last)
    assert outcome.returncode != 0
    assert "550 5.1.1" in outcome.stdout
    assert "User unknown in virtual mailbox table" in outcome.stdout


def test_what_is_installed_is_what_would_be_rendered(host: Host) -> None:
    tree = host.site.directory / "etc/mailsvc/mailhost"
    check = f"mailsvc mailhost render {tree} --check"
    assert host.site.outcome(check).returncode == 0
    assert (tree / "postfix/main.cf").read_text() in (host.site.directory / "etc/postfix/main.cf").read_text()

    senders = tree / "postfix/senders.cf"
    written = senders.read_text()
    try:
        senders.write_text(written + "# by hand\n")
        outcome = host.site.outcome(check)
    finally:
        host.site.write(senders, written)
    assert (outcome.returncode, outcome.stdout) == (1, f"{senders} differs\n")


def test_the_settings_for_other_name_servers_are_settings(tmp_path: Path) -> None:
    (tmp_path / "rfc2136-secret").write_text("c2VjcmV0\n")
    blocks = [
        dict(word.split("=", 1) for word in shlex.split(block.replace("/etc/mailsvc", str(tmp_path))))
        for block in _SETTINGS.findall(EXPLANATIONS.read_text())
    ]
    assert [config.load(block).dns for block in blocks] == ["rfc2136", "zonefile"]
