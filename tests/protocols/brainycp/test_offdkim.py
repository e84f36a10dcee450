"""offdkim: the record goes, the key stays."""

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import ON_SQLITE, Panel
from tests.protocols.brainycp.stored import rows, served


def test_the_same_record_comes_back(alice: Panel, ports: Ports) -> None:
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    before = served(ports, "dkim")
    assert alice.post("offdkim", domain="example.com")["error"] == 0
    assert served(ports, "dkim") == []
    assert rows(ports, "SELECT name FROM pdns_record WHERE name LIKE '%domainkey%'") == []
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    assert served(ports, "dkim") == before
    assert len(rows(ports, "SELECT id FROM dkim_key")) == 1


@ON_SQLITE
def test_it_makes_no_key(alice: Panel, ports: Ports) -> None:
    assert alice.post("offdkim", domain="example.com")["error"] == 3
    assert rows(ports, "SELECT id FROM dkim_key") == []
