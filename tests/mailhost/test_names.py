"""PowerDNS answers what was committed a moment ago."""

import dns.rcode

from tests.mailhost.host import Host


def test_records_are_served_as_soon_as_they_are_switched(host: Host) -> None:
    host.command("domain add dns.example --owner alice")
    key = "mail._domainkey.dns.example"
    assert host.name_server.txt("dns.example") == []

    assert host.call("onspf", domain="dns.example") == 0
    assert host.name_server.txt("dns.example") == ["v=spf1 mx ~all"]
    assert host.call("ondkim", domain="dns.example") == 0
    assert host.name_server.txt(key)[0].startswith("v=DKIM1; ")
    assert host.name_server.query("_domainkey.dns.example", "TXT").rcode() == dns.rcode.NOERROR
    assert "10 mail.example.net." in str(host.name_server.query("dns.example", "MX").answer[0])

    assert host.call("offspf", domain="dns.example") == 0
    assert host.call("offdkim", domain="dns.example") == 0
    assert host.name_server.txt("dns.example") == host.name_server.txt(key) == []


def test_a_zone_is_served_while_its_domain_is_here(host: Host) -> None:
    def outcome() -> dns.rcode.Rcode:
        return host.name_server.query("zone.example", "SOA").rcode()

    assert outcome() == dns.rcode.REFUSED
    host.command("domain add zone.example --owner alice")
    assert outcome() == dns.rcode.NOERROR
    host.command("domain remove zone.example")
    assert outcome() == dns.rcode.REFUSED
