"""onspf, offspf, ondkim, offdkim: what the four have in common, and what a failing DNS back-end leaves behind."""

from pathlib import Path

import pytest

from mailsvc.services import domains
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.brainycp.panel import SWITCHES, Panel
from tests.protocols.brainycp.stored import change, everything, rows, served

FAILED = {
    "onspf": "Error enabling SPF record for domain",
    "offspf": "Error disabling SPF record for domain",
    "ondkim": "Error enabling dkim record for domain",
    "offdkim": "Error disabling Dkim record for domain",
}
ENABLED = (0, "Entry for domain is enabled")
DISABLED = (0, "The record is disabled for the domain")
PAIRS = [("onspf", "offspf", "SPF"), ("ondkim", "offdkim", "dkim")]

four = pytest.mark.parametrize("operation", SWITCHES)


@pytest.mark.parametrize(("on", "off", "what"), PAIRS)
def test_on_and_off_and_on_again(alice: Panel, ports: Ports, on: str, off: str, what: str) -> None:
    """Checklist 18: 0, then 3."""
    already_off = (3, f"{what.replace('dkim', 'Dkim')} is already disabled for domain: example.com")
    already_on = (3, f"{what} is already enabled for domain: example.com")
    assert alice.says(off, domain="example.com") == already_off
    for _ in range(2):
        assert alice.says(on, domain="example.com") == ENABLED
        assert alice.says(on, domain=" Example.COM. ") == already_on
        assert alice.says(off, domain=" Example.COM. ") == DISABLED
        assert alice.says(off, domain="example.com") == already_off
    assert rows(ports, "SELECT enabled, settled, busy_until FROM dns_record") == [(0, 1, None)]


NO_DOMAINS = [
    None, "", " ", ".", "com", "example.com..", "-x.com", "x_y.com", "a b.com", "a@example.com", "*.example.com",
    "example.com/", "http://example.com", "x" * 64 + ".com", "example.com\n", "exa\0mple.com", "example\ufffd.com",
]  # fmt: skip


@four
@pytest.mark.parametrize("sent", NO_DOMAINS)
def test_parameter_errors(in_vain: Panel, operation: str, sent: str | None) -> None:
    """Checklist 18: a missing or bad domain gives 1."""
    fields = {} if sent is None else {"domain": sent}
    assert in_vain.says(operation, **fields) == (1, "Error in the parameter array")


@four
@pytest.mark.parametrize("domain", ["bob.test", "nowhere.test", "sub.example.com", "почта.рф"])
def test_an_unknown_domain_and_a_foreign_one(in_vain: Panel, operation: str, domain: str) -> None:
    """Checklist 18: 2, with the canonical name."""
    canonical = domain.replace("почта.рф", "xn--80a1acny.xn--p1ai")
    assert in_vain.says(operation, domain=domain) == (2, f"{FAILED[operation]} {canonical}")


def test_each_domain_has_its_own_switches(alice: Panel, bob: Panel, root: Panel, ports: Ports) -> None:
    domains.add(ports, act(), name="xn--80a1acny.xn--p1ai", owner="alice")
    assert alice.says("onspf", domain="Почта.рф") == ENABLED
    assert alice.says("onspf", domain="example.com") == ENABLED
    assert bob.says("onspf", domain="bob.test") == ENABLED
    assert root.says("offspf", domain="example.com", panel_user="alice") == DISABLED
    assert root.says("offspf", domain="bob.test", panel_user="alice")[0] == 2
    assert root.says("offspf", domain="bob.test") == DISABLED
    assert rows(ports, "SELECT name FROM dns_record WHERE enabled = 1") == [("xn--80a1acny.xn--p1ai",)]


@pytest.mark.parametrize(("on", "off", "what"), PAIRS)
def test_a_failure_at_the_last_step(alice: Panel, ports: Ports, on: str, off: str, what: str) -> None:
    """The change is made but cannot be put on file: the state is the old one, and later calls find it so."""
    shown = "SELECT enabled, settled FROM dns_record"
    for operation, opposite, enabled in ((on, off, 0), (off, on, 1)):
        change(ports, "ALTER TABLE audit_entry RENAME TO lost")
        assert alice.says(operation, domain="example.com") == (2, f"{FAILED[operation]} example.com")
        assert [state for state, _ in rows(ports, shown)] == [enabled]
        assert len(served(ports, what.lower())) == enabled
        change(ports, "ALTER TABLE lost RENAME TO audit_entry")
        change(ports, "UPDATE dns_record SET busy_until = 0 WHERE busy_until IS NOT NULL")
        assert alice.says(opposite, domain="example.com")[0] == 3
        assert alice.says(operation, domain="example.com")[0] == 0
    assert rows(ports, shown) == [(0, 1)]


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Where the zone files go; a regular file stands there until a test makes room."""
    path = tmp_path / "zones"
    path.touch()
    return path


class TestFailingPublisher:
    """Checklist 18: code 2 and the state unchanged, then mended and 0. A real back-end that really fails."""

    @pytest.fixture
    def more_settings(self, zones: Path) -> dict[str, str]:
        return {"DNS": "zonefile", "ZONEFILE_DIR": str(zones)}

    @pytest.mark.parametrize(("on", "off", "_what"), PAIRS)
    def test_the_state_is_the_old_one(
        self, alice: Panel, ports: Ports, zones: Path, on: str, off: str, _what: str
    ) -> None:
        shown = "SELECT enabled FROM dns_record"
        for _ in range(2):
            assert alice.says(on, domain="example.com") == (2, f"{FAILED[on]} example.com")
            assert rows(ports, shown) in ([], [(0,)])
        zones.unlink()
        assert alice.says(off, domain="example.com")[0] == 3
        assert alice.says(on, domain="example.com") == ENABLED
        published = (zones / "example.com.zone").read_text()
        assert " IN TXT " in published
        zones.rename(zones.with_name("away"))
        zones.touch()
        for _ in range(2):
            assert alice.says(off, domain="example.com") == (2, f"{FAILED[off]} example.com")
            assert rows(ports, shown) == [(1,)]
        zones.unlink()
        zones.with_name("away").rename(zones)
        assert alice.says(on, domain="example.com")[0] == 3
        assert (zones / "example.com.zone").read_text() == published
        assert alice.says(off, domain="example.com") == DISABLED
        assert " IN TXT " not in (zones / "example.com.zone").read_text()
        assert rows(ports, "SELECT enabled, settled FROM dns_record") == [(0, 1)]

    def test_a_failure_changes_nothing_but_the_note_that_it_happened(self, alice: Panel, ports: Ports) -> None:
        before = everything(ports)
        assert alice.says("onspf", domain="example.com")[0] == 2
        after = everything(ports)
        assert {table for table in before if after[table] != before[table]} <= {"dns_record"}
        assert rows(ports, "SELECT outcome, code FROM audit_entry WHERE operation = 'onspf'") == [("PublishFailed", 2)]
