"""``domain``: owners, and the records to paste into a zone."""

from typing import Any

import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TXT
import dns.zone
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, BOB_SECRET
from tests.cli.command_line import CommandLine
from tests.protocols.brainycp.panel import Panel
from tests.service.running import HOSTNAME

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def addresses(client: FlaskClient, name: str, secret: str) -> list[str]:
    found: list[str] = Panel(client, name, secret).post("getlistmail")["data"]
    return found


def test_a_domain_is_added_listed_given_and_removed(cli: CommandLine) -> None:
    assert cli("domain", "add", "New.Test.", "--owner", "alice").text == ""
    assert cli("domain", "add", "почта.рф", "--owner", "bob").text == ""
    assert cli("domain", "list", "--json").rows == [
        {"name": "bob.test", "owner": "bob"},
        {"name": "example.com", "owner": "alice"},
        {"name": "new.test", "owner": "alice"},
        {"name": "xn--80a1acny.xn--p1ai", "owner": "bob"},
    ]
    assert cli("domain", "give", "NEW.test", "--owner", "bob").text == ""
    assert cli("domain", "give", "NEW.test", "--owner", "bob").text == ""
    assert cli("domain", "remove", "Почта.РФ").text == ""
    head, *lines = cli("domain", "list").text.splitlines()
    assert head.split() == ["name", "owner"]
    assert [line.split() for line in lines] == [["bob.test", "bob"], ["example.com", "alice"], ["new.test", "bob"]]


def test_who_owns_a_domain_sees_its_mailboxes(cli: CommandLine, client: FlaskClient) -> None:
    assert cli("domain", "give", "example.com", "--owner", "bob").text == ""
    assert addresses(client, "alice", ALICE_SECRET) == []
    assert addresses(client, "bob", BOB_SECRET) == ["old@example.com"]
    counts = {row["name"]: row["mailbox_count"] for row in cli("user", "list", "--json").rows}
    assert counts == {"alice": 0, "bob": 1, "root": 0}


def test_a_domain_takes_everything_of_it_along(cli: CommandLine, client: FlaskClient) -> None:
    cli("forward", "add", "a@example.com", "b@example.net")
    cli("dkim", "on", "example.com")
    cli("spf", "on", "example.com")
    assert cli("domain", "remove", "example.com").text == ""
    assert addresses(client, "alice", ALICE_SECRET) == []
    assert cli("forward", "list", "--json").rows == []
    assert cli("domain", "show", "example.com").refusal == "there is no domain example.com"
    assert cli("domain", "add", "example.com", "--owner", "alice").text == ""
    assert "DKIM" not in [row["purpose"] for row in cli("domain", "show", "example.com", "--json").rows]
    assert cli("user", "list", "--json").rows[0]["mailbox_count"] == 0


@SQLITE
def test_what_is_refused(cli: CommandLine) -> None:
    cli("user", "add", "small", "--mailbox-limit", "0", "--password-stdin", stdin="Small-1\n")
    before = cli("domain", "list").text
    assert cli("domain", "add", "example.com", "--owner", "bob").refusal == "example.com is there already"
    assert cli("domain", "add", "new.test", "--owner", "nobody").refusal == "there is no user nobody"
    assert cli("domain", "give", "new.test", "--owner", "bob").refusal == "there is no domain new.test"
    assert cli("domain", "give", "example.com", "--owner", "nobody").refusal == "there is no user nobody"
    assert "small may have 0 mailboxes" in cli("domain", "give", "example.com", "--owner", "small").refusal
    assert cli("domain", "remove", "new.test").refusal == "there is no domain new.test"
    assert cli("domain", "show", "new.test").refusal == "there is no domain new.test"
    for bad in ("localhost", "a..b", "a b.test", "a-.test", "a_b.test", "a@b.test", "192.0.2.1/24"):
        assert cli("domain", "add", bad, "--owner", "bob").refusal == "not a usable domain"
    assert cli("domain", "list").text == before


def test_a_catch_all_is_set_shown_and_switched_off(cli: CommandLine) -> None:
    assert cli("domain", "catch-all", "example.com").text == "off\n"
    assert "catch-all: off\n" in cli("domain", "show", "example.com").text
    assert cli("domain", "catch-all", "Example.com", "OLD@example.com").text == ""
    assert cli("domain", "catch-all", "example.com").text == "old@example.com\n"
    assert "catch-all: old@example.com\n" in cli("domain", "show", "example.com").text
    assert cli("domain", "catch-all", "example.com", "--off").text == ""
    assert cli("domain", "catch-all", "example.com", "--off").refusal == "that is so already for example.com"
    nobody = cli("domain", "catch-all", "example.com", "nobody@bob.test")
    assert nobody.refusal == "there is no mailbox nobody@bob.test"
    assert cli("domain", "catch-all", "new.test", "a@b.test").refusal == "there is no domain new.test"
    assert cli("domain", "catch-all", "example.com", "nobody").refusal == "not a usable address"


# The records it should have


def shown(cli: CommandLine) -> dict[str, dict[str, Any]]:
    """What ``domain show --json`` says of each purpose."""
    return {row["purpose"]: row for row in cli("domain", "show", "example.com", "--json").rows}


def parsed(line: str) -> tuple[str, int, Any]:
    """Name, TTL and data of a line of a zone file, as a name server reads it wherever in the file it stands."""
    text = f"$ORIGIN below.example.com.\n{line}\n"
    zone = dns.zone.from_text(text, "example.com", relativize=False, check_origin=False)
    ((name, ttl, data),) = zone.iterate_rdatas()
    return name.to_text(), ttl, data


def of_txt(line: str) -> tuple[str, tuple[str, ...]]:
    """Name and strings of a TXT line."""
    name, _, data = parsed(line)
    assert isinstance(data, dns.rdtypes.ANY.TXT.TXT)
    return name, tuple(string.decode("ascii") for string in data.strings)


def test_a_new_domain_should_have_mx_spf_and_what_clients_look_for(cli: CommandLine) -> None:
    records = shown(cli)
    assert list(records) == ["MX", "SPF", "DMARC", "autoconfig", "SRV"]
    assert records["SPF"] == {
        "purpose": "SPF",
        "name": "example.com",
        "type": "TXT",
        "value": "v=spf1 mx ~all",
        "strings": ["v=spf1 mx ~all"],
        "zone_line": 'example.com. 300 IN TXT "v=spf1 mx ~all"',
        "published": False,
        "note": "",
    }
    name, ttl, data = parsed(records["MX"]["zone_line"])
    assert isinstance(data, dns.rdtypes.ANY.MX.MX)
    assert (name, ttl, data.preference, data.exchange.to_text()) == ("example.com.", 300, 10, f"{HOSTNAME}.")


SERVED = """
SELECT r.name, r.type, r.content, r.prio FROM pdns_record r JOIN pdns_domain d ON d.id = r.domain_id
WHERE d.name = 'example.com' AND r.type NOT IN ('SOA', 'NS')
"""

FORMS = {"MX": "{prio} {content}.", "SRV": "{prio} {content}.", "CNAME": "{content}.", "TXT": "{content}"}
"""How a zone file writes what the views have in two columns, host names without the last dot."""


def test_every_line_is_what_the_views_serve(cli: CommandLine, ports: Ports) -> None:
    """What is pasted into another zone is what PowerDNS would answer."""
    for command in ("spf", "dkim"):
        cli(command, "on", "example.com")
    with ports.store.reading() as unit:
        rows = unit.execute(sa.text(SERVED)).all()
    served = {(f"{row.name}.", row.type, FORMS[row.type].format(prio=row.prio, content=row.content)) for row in rows}
    listed = cli("domain", "show", "example.com", "--json").rows
    lines = [row["zone_line"].split(" ", 4) for row in listed]
    assert {(name, kind, data) for name, _, _, kind, data in lines} == served
    assert len(listed) == len(rows) and all(row["published"] for row in listed)


def test_a_key_is_cut_into_strings_that_a_zone_file_can_hold(cli: CommandLine) -> None:
    assert cli("dkim", "on", "example.com").text == ""
    record = shown(cli)["DKIM"]
    name, strings = of_txt(record["zone_line"])
    assert (name, list(strings)) == ("mail._domainkey.example.com.", record["strings"])
    assert "".join(strings) == record["value"]
    assert record["value"].startswith("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")
    assert len(strings) == 2 and all(len(string.encode()) <= 255 for string in strings)
    assert record["published"] is True


@SQLITE
def test_a_long_spf_text_is_cut_too(cli: CommandLine) -> None:
    text = "v=spf1 " + " ".join(f"ip4:192.0.2.{number}" for number in range(100, 125)) + " -all"
    record = shown(cli.with_settings(SPF=text))["SPF"]
    _, strings = of_txt(record["zone_line"])
    assert record["value"] == "".join(strings) == text
    assert len(strings) == 2


@SQLITE
def test_the_host_name_and_the_selector_come_from_the_settings(cli: CommandLine) -> None:
    elsewhere = cli.with_settings(HOSTNAME="mx.example.net", SPF="v=spf1 a:{hostname} -all", DKIM_SELECTOR="k2026")
    elsewhere("dkim", "on", "example.com")
    records = shown(elsewhere)
    assert records["MX"]["value"] == "10 mx.example.net."
    assert records["SPF"]["value"] == "v=spf1 a:mx.example.net -all"
    assert records["DKIM"]["name"] == "k2026._domainkey.example.com"


@SQLITE
def test_the_readable_form_says_the_same(cli: CommandLine) -> None:
    cli("dkim", "on", "example.com")
    text = cli("domain", "show", "EXAMPLE.com").text
    for purpose, record in shown(cli).items():
        state = "on" if record["published"] else "off"
        assert f"{purpose}: {record['type']} record of {record['name']}, {state}\n" in text
        assert f"  value    {record['value']}\n" in text
        assert f"  zone     {record['zone_line']}\n" in text
        if record["type"] == "TXT":
            for number, string in enumerate(record["strings"], start=1):
                assert f"  string {number} {string}\n" in text
