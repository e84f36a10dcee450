"""Mailboxes: limits and counts, incarnations, and whose they are."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mailsvc.core.acts import USER, Act
from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.core.refusals import AlreadyExists, BadInput, LimitReached, NoSuchMailbox, Refusal, UnknownDomain
from mailsvc.services import domains, forwards, mailboxes, users
from mailsvc.services.mailboxes import ListedMailbox
from mailsvc.services.ports import Ports
from mailsvc.vault.passwords import Passwords
from tests.application import act
from tests.services.callers import (
    act_of,
    add_mailbox,
    counts,
    everything,
    found,
    last_audit_entry,
    remove_mailbox,
)
from tests.vault.watched import watch

OLD = mail_address("old@example.com")


def opens(ports: Ports, address: str, password: str) -> bool:
    [(stored,)] = found(ports, "SELECT password_hash FROM mailbox WHERE address = :address", address=address)
    with ports.passwords.checking() as matches:
        return matches(stored, password)


def incarnation(ports: Ports, address: str) -> str:
    [(name,)] = found(ports, "SELECT incarnation FROM mailbox WHERE address = :address", address=address)
    return str(name)


@pytest.fixture
def limited(ports: Ports) -> Act:
    """The user carol, who may have two mailboxes in the domain carol.test."""
    users.add(ports, act(), name="carol", password="Panel-3", role=USER, mailbox_limit=2)
    domains.add(ports, act(), name="carol.test", owner="carol")
    return act_of(ports, "carol")


def test_a_mailbox_is_made_with_its_audit_entry(ports: Ports) -> None:
    alice = replace(act_of(ports, "alice"), operation="addmail", done=7, request_id="r-1")
    add_mailbox(ports, "Info@Example.com", alice, quota_mib=1024)
    assert mailboxes.listed(ports, alice.acting) == [
        ListedMailbox("info@example.com", 1024, True),
        ListedMailbox("old@example.com", 0, True),
    ]
    assert opens(ports, "info@example.com", "Box-1")
    assert not opens(ports, "info@example.com", "box-1")
    assert last_audit_entry(ports) == ("test", "addmail", "alice", "alice", "info@example.com", "done", 7)
    assert found(ports, "SELECT count(*) FROM audit_entry WHERE request_id = 'r-1'") == [(1,)]


def test_a_mailbox_that_is_there_is_not_made_again(ports: Ports) -> None:
    before = everything(ports)
    with pytest.raises(AlreadyExists):
        add_mailbox(ports, "old@example.com")
    assert everything(ports) == before


def test_of_many_who_add_the_same_mailbox_one_succeeds(ports: Ports) -> None:
    def attempt(_: int) -> type[Refusal] | None:
        try:
            add_mailbox(ports, "info@example.com")
        except AlreadyExists as refusal:
            return type(refusal)
        return None

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(attempt, range(6)))
    assert sorted(outcomes, key=str) == [AlreadyExists] * 5 + [None]
    assert counts(ports)["alice"] == 2


@pytest.mark.parametrize("domain", ["nowhere.test", "bob.test"])
def test_a_domain_out_of_scope_is_unknown_and_costs_no_hash(ports: Ports, domain: str) -> None:
    before, alice = everything(ports), act_of(ports, "alice")
    watched = watch(ports.passwords)
    with pytest.raises(UnknownDomain):
        add_mailbox(ports, f"info@{domain}", alice)
    assert everything(ports) == before
    assert watched.hashed == 0


def test_a_domain_that_goes_away_while_the_password_is_hashed_is_unknown(ports: Ports) -> None:
    watched = watch(ports.passwords)
    watched.within = lambda: domains.give(ports, act(), name="example.com", owner="bob")
    with pytest.raises(UnknownDomain):
        add_mailbox(ports, "info@example.com", act_of(ports, "alice"))
    assert counts(ports) == {"root": 0, "alice": 0, "bob": 1}


BAD_PASSWORDS = ["", "x" * 257, "é" * 129, "a\0b", "a\nb", "a\rb", "\ud800", "\ufffd"]


def test_a_bad_password_is_refused_without_being_shown_or_hashed(ports: Ports) -> None:
    before, watched = everything(ports), watch(ports.passwords)
    new = mailbox_address("info@example.com")
    for password in BAD_PASSWORDS:
        with pytest.raises(BadInput) as made:
            mailboxes.add(ports, act(), address=new, password=password, quota_mib=0)
        with pytest.raises(BadInput) as changed:
            mailboxes.change_password(ports, act(), address=OLD, password=password)
        assert made.value.facts == changed.value.facts == {"field": "password"}
    assert everything(ports) == before
    assert watched.hashed == 0


def test_other_passwords_are_taken_as_they_are(ports: Ports) -> None:
    for password in ("x" * 256, "é" * 128, " ", "ящик 'и\" \\;--", "a\tb"):
        mailboxes.change_password(ports, act(), address=OLD, password=password)
        assert opens(ports, "old@example.com", password)
        assert not opens(ports, "old@example.com", password.strip() + "?")


def test_nobody_has_more_mailboxes_than_his_limit(ports: Ports, limited: Act) -> None:
    for name in ("a", "b"):
        add_mailbox(ports, f"{name}@carol.test", limited)
    before = everything(ports)
    with pytest.raises(LimitReached) as reached:
        add_mailbox(ports, "c@carol.test", limited)
    assert reached.value.facts == {"user": "carol", "limit": 2}
    with pytest.raises(LimitReached):
        add_mailbox(ports, "c@carol.test", act())
    assert everything(ports) == before
    remove_mailbox(ports, "a@carol.test", limited)
    add_mailbox(ports, "c@carol.test", limited)
    assert counts(ports)["carol"] == 2


def test_a_limit_of_nothing_allows_nothing_and_no_limit_everything(ports: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role=USER, mailbox_limit=0)
    domains.add(ports, act(), name="carol.test", owner="carol")
    with pytest.raises(LimitReached):
        add_mailbox(ports, "a@carol.test")
    for name in "abcd":
        add_mailbox(ports, f"{name}@example.com")
    assert counts(ports) == {"root": 0, "alice": 5, "bob": 0, "carol": 0}


def test_a_limit_holds_against_many_at_once(ports: Ports, limited: Act) -> None:
    def attempt(number: int) -> bool:
        try:
            add_mailbox(ports, f"u{number}@carol.test", limited)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(attempt, range(6)))
    assert sorted(outcomes) == [False] * 4 + [True] * 2
    assert counts(ports)["carol"] == 2


def test_counts_follow_mailboxes_and_domains(ports: Ports) -> None:
    domains.add(ports, act(), name="second.test", owner="alice")
    for address in ("a@example.com", "a@second.test", "b@second.test", "a@bob.test"):
        add_mailbox(ports, address)
    assert counts(ports) == {"root": 0, "alice": 4, "bob": 1}
    remove_mailbox(ports, "a@second.test")
    assert counts(ports) == {"root": 0, "alice": 3, "bob": 1}
    domains.give(ports, act(), name="example.com", owner="bob")
    assert counts(ports) == {"root": 0, "alice": 1, "bob": 3}
    domains.give(ports, act(), name="bob.test", owner="bob")
    assert counts(ports) == {"root": 0, "alice": 1, "bob": 3}
    domains.remove(ports, act(), name="example.com")
    assert counts(ports) == {"root": 0, "alice": 1, "bob": 1}
    with pytest.raises(NoSuchMailbox):
        remove_mailbox(ports, "a@example.com")
    assert counts(ports) == {"root": 0, "alice": 1, "bob": 1}


def test_a_mailbox_that_is_made_again_has_another_home(ports: Ports) -> None:
    seen = {incarnation(ports, "old@example.com")}
    for _ in range(3):
        remove_mailbox(ports, "old@example.com")
        add_mailbox(ports, "old@example.com")
        seen.add(incarnation(ports, "old@example.com"))
    assert len(seen) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in seen)


def test_changes_touch_one_mailbox_and_keep_its_home(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com")
    home, info = incarnation(ports, "info@example.com"), mail_address("info@example.com")
    mailboxes.change_quota(ports, act(), address=info, quota_mib=5)
    mailboxes.change_password(ports, act(), address=info, password="Box-2")
    mailboxes.disable(ports, act(), address=info)
    root = act_of(ports, "root").acting
    untouched = ListedMailbox("old@example.com", 0, True)
    assert mailboxes.listed(ports, root) == [ListedMailbox("info@example.com", 5, False), untouched]
    mailboxes.enable(ports, act(), address=info)
    assert mailboxes.listed(ports, root) == [ListedMailbox("info@example.com", 5, True), untouched]
    assert opens(ports, "info@example.com", "Box-2")
    assert not opens(ports, "info@example.com", "Box-1")
    assert opens(ports, "old@example.com", "Box-0")
    assert incarnation(ports, "info@example.com") == home


CHANGES: dict[str, Callable[[Ports, Act, str], None]] = {
    "remove": lambda ports, by, address: remove_mailbox(ports, address, by),
    "enable": lambda ports, by, address: mailboxes.enable(ports, by, address=mail_address(address)),
    "disable": lambda ports, by, address: mailboxes.disable(ports, by, address=mail_address(address)),
    "quota": lambda ports, by, address: mailboxes.change_quota(ports, by, address=mail_address(address), quota_mib=1),
    "password": lambda ports, by, address: mailboxes.change_password(
        ports, by, address=mail_address(address), password="Box-2"
    ),
}


def test_only_what_is_in_scope_can_be_changed(ports: Ports) -> None:
    before, bob = everything(ports), act_of(ports, "bob")
    for change in CHANGES.values():
        for address in ("absent@bob.test", "old@example.com", "info@nowhere.test"):
            with pytest.raises(NoSuchMailbox) as refused:
                change(ports, bob, address)
            assert refused.value.facts == {"address": address}
    assert everything(ports) == before


def test_lists_are_of_ones_own_domains_and_in_order(ports: Ports) -> None:
    for address in ("b@bob.test", "z@example.com", "a-b@example.com", "ab@example.com"):
        add_mailbox(ports, address)
    alice, bob, root = (act_of(ports, name).acting for name in ("alice", "bob", "root"))

    def addresses(*arguments: object, **named: object) -> list[str]:
        return [mailbox.address for mailbox in mailboxes.listed(ports, *arguments, **named)]  # type: ignore[arg-type]

    of_alice = ["a-b@example.com", "ab@example.com", "old@example.com", "z@example.com"]
    assert addresses(alice) == addresses(alice, domain="example.com") == of_alice
    assert addresses(bob) == addresses(root, domain="bob.test") == ["b@bob.test"]
    assert addresses(root) == sorted([*of_alice, "b@bob.test"])
    for nobodys in ("bob.test", "nowhere.test"):
        with pytest.raises(UnknownDomain):
            mailboxes.listed(ports, alice, domain=nobodys)


def test_a_mailbox_goes_without_the_forwards_that_name_it(ports: Ports) -> None:
    forwards.add(ports, act(), source=OLD, targets=[mail_address("a@b.example")], keep_local=True)
    remove_mailbox(ports, "old@example.com")
    assert found(ports, "SELECT source FROM forward") == [("old@example.com",)]


def test_no_password_is_in_the_database(ports: Ports) -> None:
    mailboxes.change_password(ports, act(), address=OLD, password="Unheard-of")
    assert "Unheard-of" not in repr(everything(ports))
    assert isinstance(ports.passwords, Passwords)
