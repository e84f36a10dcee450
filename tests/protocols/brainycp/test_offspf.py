"""offspf: what was published is withdrawn."""

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import Panel
from tests.protocols.brainycp.stored import served


def test_the_record_is_served_no_more_and_dkim_stays(alice: Panel, ports: Ports) -> None:
    assert alice.post("onspf", domain="example.com")["error"] == 0
    assert alice.post("ondkim", domain="example.com")["error"] == 0
    assert alice.post("offspf", domain="example.com")["error"] == 0
    assert served(ports, "spf") == []
    assert len(served(ports, "dkim")) == 1
