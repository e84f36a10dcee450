"""``domain check``: exit status 0 is a domain of which nothing has to be mended."""

import pytest

from tests.cli.command_line import CommandLine
from tests.servers.knot import knot
from tests.service.running import HOSTNAME

ZONES = {
    "example.com": f'@ MX 10 {HOSTNAME}.\n@ TXT "v=spf1 mx ~all"\n_dmarc TXT "v=DMARC1; p=none"',
    HOSTNAME: "@ A 127.0.0.1",
    "127.in-addr.arpa": f"1.0.0 PTR {HOSTNAME}.",
}
HEAD = "$ORIGIN {name}.\n$TTL 60\n@ SOA ns.example.com. host.example.com. 1 3600 600 604800 60\n@ NS ns.example.com.\n"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_exit_status_is_the_verdict(cli: CommandLine) -> None:
    with knot({name: HEAD.format(name=name) + f"{lines}\n" for name, lines in ZONES.items()}) as server:
        asking = cli.with_settings(RESOLVER=f"{server.host}:{server.port}")
        text = asking("domain", "check", "example.com").text
        assert text.count(": ok\n") == 4 and "DKIM of _domainkey.example.com: off" in text
        assert [row["verdict"] for row in asking("domain", "check", "example.com", "--json").rows] == [
            "ok",
            "ok",
            "ok",
            "off",
            "ok",
        ]
        # The key is published in this database's own zone, which is not the one that the world sees.
        asking("dkim", "on", "example.com")
        done = asking("domain", "check", "example.com")
        assert done.status == 1
        assert "DKIM of mail._domainkey.example.com: missing (receivers find no key" in done.out
