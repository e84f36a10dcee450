"""onspf: what is published."""

import pytest

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import ON_SQLITE, Panel
from tests.protocols.brainycp.stored import rows, served

SPF = "SELECT name, type, content, ttl FROM pdns_record WHERE content LIKE '%spf1%'"


class TestTheUsualText:
    def test_the_name_server_serves_it_from_the_same_commit(self, alice: Panel, ports: Ports) -> None:
        serial = "SELECT serial FROM pdns_domain WHERE name = 'example.com'"
        ((before,),) = rows(ports, serial)
        assert alice.post("onspf", domain="example.com")["error"] == 0
        assert rows(ports, SPF) == [("example.com", "TXT", '"v=spf1 mx ~all"', 300)]
        assert rows(ports, serial) == [(before + 1,)]


@ON_SQLITE
class TestATextOfOnesOwn:
    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"SPF": "v=spf1 a:{hostname} " + "ip4:192.0.2.1 " * 25 + "-all"}

    def test_the_host_name_is_filled_in_and_the_text_cut_into_strings(self, alice: Panel, ports: Ports) -> None:
        assert alice.post("onspf", domain="example.com")["error"] == 0
        (content,) = served(ports, "spf")
        strings = content.strip('"').split('" "')
        assert [len(string) for string in strings][:-1] == [255]
        assert "".join(strings) == "v=spf1 a:mail.server.test " + "ip4:192.0.2.1 " * 25 + "-all"
