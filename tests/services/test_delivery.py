"""Where a message ends up: as Postfix and Dovecot go."""

import pytest
from sqlalchemy import text

from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.services import catch_alls, delivery, forwards, mailboxes
from mailsvc.services.ports import Ports
from tests.application import act


@pytest.fixture(autouse=True)
def arrangement(ports: Ports) -> None:
    """Boxes old, new (1 MiB) and new+tag of example.com, forwards among them, a catch-all of bob.test."""
    for address, quota in (("new@example.com", 1), ("new+tag@example.com", 0)):
        mailboxes.add(ports, act(), address=mailbox_address(address), password="Box-1", quota_mib=quota)
    for source, targets, keep in (
        ("one@example.com", "new@example.com", False),
        ("chain@example.com", "one@example.com x@elsewhere.test", False),
        ("old@example.com", "chain@example.com", True),
        ("away@example.com", "x@elsewhere.test", False),
    ):
        forwards.add(
            ports, act(), source=mail_address(source), targets=list(map(mail_address, targets.split())), keep_local=keep
        )
    catch_alls.direct(ports, act(), domain="bob.test", target=mail_address("one@example.com"))


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("new@example.com", ["new@example.com"]),
        ("NEW@Example.com", ["new@example.com"]),
        ("new+news@example.com", ["new@example.com"]),
        ("new+tag@example.com", ["new+tag@example.com"]),
        ("one@example.com", ["new@example.com"]),
        # Postfix hands the extension on, and there is a mailbox of that name.
        ("one+tag@example.com", ["new+tag@example.com"]),
        ("chain+x@example.com", ["new@example.com"]),
        ("old@example.com", ["new@example.com", "old@example.com"]),
        ("old+x@example.com", ["new@example.com", "old@example.com"]),
        ("anybody@bob.test", ["new@example.com"]),
        ("away@example.com", []),
        ("nobody@example.com", []),
        ("someone@elsewhere.test", []),
        ('"quoted local"@example.com', []),
        ("postmaster", []),
        ("", []),
    ],
)
def test_a_message_ends_up(ports: Ports, recipient: str, expected: list[str]) -> None:
    with ports.store.reading() as unit:
        found = delivery.destinations(unit, recipient)
    assert sorted(one.address for one in found) == expected
    quotas = {"new@example.com": 1048576}
    assert all(one.quota_bytes == quotas.get(one.address, 0) for one in found)


def test_what_leads_in_a_circle_ends_nowhere(ports: Ports) -> None:
    with ports.store.writing() as unit:
        # No use-case makes one, but a restored database may hold it.
        words = "UPDATE forward_target SET target = 'chain@example.com' WHERE target = 'new@example.com'"
        unit.execute(text(words))
    with ports.store.reading() as unit:
        assert delivery.destinations(unit, "one@example.com") == []
        assert not delivery.leads_nowhere(unit, "one@example.com"), "chain goes elsewhere too"
    with ports.store.writing() as unit:
        unit.execute(text("DELETE FROM forward_target WHERE target = 'x@elsewhere.test'"))
    with ports.store.reading() as unit:
        assert delivery.leads_nowhere(unit, "one@example.com")


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("new@example.com", True),
        ("one@example.com", True),
        ("anybody@bob.test", True),
        ("one+tag@example.com", False),
        ("new+tag@example.com", False),
        ("new+tag+more@example.com", True),
        ("chain@example.com", False),
        ("old@example.com", False),
        ("away@example.com", False),
        ("someone@elsewhere.test", False),
        ('"quoted local"@example.com', False),
        ("", False),
    ],
)
def test_without_its_mailbox_a_forward_leads_nowhere(ports: Ports, recipient: str, expected: bool) -> None:
    mailboxes.remove(ports, act(), address=mailbox_address("new@example.com"))
    with ports.store.reading() as unit:
        assert delivery.leads_nowhere(unit, recipient) is expected
