"""Domains: one owner each, given away with their mailboxes, removed with all that is theirs."""

import pytest

from mailsvc.core.acts import USER
from mailsvc.core.addresses import mail_address
from mailsvc.core.refusals import AlreadyExists, LimitReached, UnknownDomain, UnknownUser
from mailsvc.services import dkim, domains, forwards, mailboxes, spf, users
from mailsvc.services.domains import ListedDomain
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import act_of, add_mailbox, counts, everything, found, last_audit_entry


def test_a_domain_is_added_for_its_owner_once(ports: Ports) -> None:
    domains.add(ports, act(), name="second.test", owner="alice")
    assert last_audit_entry(ports)[4:] == ("second.test", "done", 0)
    before = everything(ports)
    for owner in ("alice", "bob"):
        with pytest.raises(AlreadyExists) as refused:
            domains.add(ports, act(), name="second.test", owner=owner)
        assert refused.value.facts == {"domain": "second.test"}
    for stranger in ("carol", "Alice", "al\0ice"):
        with pytest.raises(UnknownUser):
            domains.add(ports, act(), name="third.test", owner=stranger)
    assert everything(ports) == before


def test_lists_are_of_ones_own_domains_and_in_order(ports: Ports) -> None:
    for name in ("zz.test", "a-b.test", "ab.test"):
        domains.add(ports, act(), name=name, owner="alice")
    of_alice = [ListedDomain(name, "alice") for name in ("a-b.test", "ab.test", "example.com", "zz.test")]
    assert domains.listed(ports, act_of(ports, "alice").acting) == of_alice
    assert domains.listed(ports, act_of(ports, "bob").acting) == [ListedDomain("bob.test", "bob")]
    everybodys = sorted([*of_alice, ListedDomain("bob.test", "bob")], key=lambda domain: domain.name)
    assert domains.listed(ports, act_of(ports, "root").acting) == everybodys


def test_a_domain_is_given_away_with_its_mailboxes(ports: Ports) -> None:
    domains.give(ports, act_of(ports, "alice"), name="example.com", owner="bob")
    assert last_audit_entry(ports)[2:] == ("alice", "alice", "example.com", "done", 0)
    assert counts(ports) == {"root": 0, "alice": 0, "bob": 1}
    assert domains.listed(ports, act_of(ports, "alice").acting) == []
    [box] = mailboxes.listed(ports, act_of(ports, "bob").acting)
    assert box.address == "old@example.com"


def test_a_domain_is_not_given_to_somebody_whose_limit_it_exceeds(ports: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role=USER, mailbox_limit=1)
    add_mailbox(ports, "info@example.com")
    before = everything(ports)
    with pytest.raises(LimitReached) as refused:
        domains.give(ports, act(), name="example.com", owner="carol")
    assert refused.value.facts == {"user": "carol", "limit": 1}
    assert everything(ports) == before
    domains.give(ports, act(), name="bob.test", owner="carol")
    add_mailbox(ports, "only@bob.test")
    assert counts(ports) == {"root": 0, "alice": 2, "bob": 0, "carol": 1}


def test_a_domain_out_of_scope_can_be_neither_given_nor_removed(ports: Ports) -> None:
    before, alice = everything(ports), act_of(ports, "alice")
    for name in ("bob.test", "nowhere.test"):
        with pytest.raises(UnknownDomain):
            domains.give(ports, alice, name=name, owner="alice")
        with pytest.raises(UnknownDomain):
            domains.remove(ports, alice, name=name)
    with pytest.raises(UnknownUser):
        domains.give(ports, alice, name="example.com", owner="carol")
    assert everything(ports) == before


def test_a_domain_is_removed_with_all_that_is_its_own(ports: Ports) -> None:
    for domain in ("example.com", "bob.test"):
        add_mailbox(ports, f"info@{domain}")
        source, targets = mail_address(f"sales@{domain}"), [mail_address("info@bob.test"), mail_address("a@x.example")]
        forwards.add(ports, act(), source=source, targets=targets)
        spf.enable(ports, act(), domain=domain)
        dkim.enable(ports, act(), domain=domain)
    before = everything(ports)
    domains.remove(ports, act_of(ports, "alice"), name="example.com")
    after = everything(ports)
    for table in ("domain", "forward", "forward_target", "dkim_key", "dns_record"):
        assert len(after[table]) == len(before[table]) / 2, table
    assert found(ports, "SELECT address FROM mailbox") == [("info@bob.test",)]
    assert counts(ports) == {"root": 0, "alice": 0, "bob": 1}
    assert last_audit_entry(ports)[2:] == ("alice", "alice", "example.com", "done", 0)


def test_a_domain_that_is_added_again_begins_with_nothing(ports: Ports) -> None:
    dkim.enable(ports, act(), domain="example.com")
    key = found(ports, "SELECT public_key FROM dkim_key")
    domains.remove(ports, act(), name="example.com")
    domains.add(ports, act(), name="example.com", owner="bob")
    assert mailboxes.listed(ports, act_of(ports, "bob").acting) == []
    dkim.enable(ports, act(), domain="example.com")
    assert found(ports, "SELECT public_key FROM dkim_key") != key
