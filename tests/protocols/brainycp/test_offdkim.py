"""offdkim: the record goes, the key stays."""

import pytest

from mailsvc.core import dkim
from mailsvc.core.dkim import KeyPair
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


@ON_SQLITE
def test_turning_it_on_again_makes_no_other_key(alice: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[KeyPair] = []
    new_pair = dkim.new_rsa_pair

    def counted() -> KeyPair:
        made.append(new_pair())
        return made[-1]

    monkeypatch.setattr(dkim, "new_rsa_pair", counted)
    for operation in ("ondkim", "offdkim", "ondkim", "ondkim"):
        alice.post(operation, domain="example.com")
    assert len(made) == 1
