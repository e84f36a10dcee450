"""Who may write as whom, and which keys sign, as the use-cases leave it."""

import pytest

from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.services import dkim, forwards, mailboxes, publication, signing
from mailsvc.services.ports import Ports
from tests.application import act


def may(ports: Ports, login: str, address: str) -> bool:
    with ports.store.reading() as unit:
        return signing.may_write_as(unit, login, mail_address(address))


def selectors(ports: Ports, domain: str = "example.com") -> list[str]:
    with ports.store.reading() as unit:
        return [key.selector for key in signing.keys(unit, domain)]


def add(ports: Ports, address: str) -> None:
    mailboxes.add(ports, act(), address=mailbox_address(address), password="Box-1", quota_mib=0)


def test_a_login_writes_as_itself_and_its_sub_addresses(ports: Ports) -> None:
    assert may(ports, "old@example.com", "old@example.com")
    assert may(ports, "old@example.com", "old+news@example.com")
    assert not may(ports, "old@example.com", "new@example.com")
    assert not may(ports, "old@example.com", "old@bob.test")
    assert not may(ports, "nobody", "old@example.com")


def test_a_mailbox_that_looks_like_a_sub_address_is_somebody_elses(ports: Ports) -> None:
    add(ports, "old+boss@example.com")
    assert not may(ports, "old@example.com", "old+boss@example.com")
    assert may(ports, "old+boss@example.com", "old+boss@example.com")
    mailboxes.disable(ports, act(), address=mailbox_address("old+boss@example.com"))
    assert not may(ports, "old@example.com", "old+boss@example.com")
    assert not may(ports, "old+boss@example.com", "old+boss@example.com")


def test_a_login_writes_as_an_address_that_forwards_to_it(ports: Ports) -> None:
    add(ports, "new@example.com")
    source, target = mail_address("sales@example.com"), mail_address("new@example.com")
    forwards.add(ports, act(), source=source, targets=[target], keep_local=False)
    assert may(ports, "new@example.com", "sales@example.com")
    assert may(ports, "new@example.com", "sales+x@example.com")
    assert not may(ports, "old@example.com", "sales@example.com")


def test_a_key_signs_while_its_record_is_published_and_settled(ports: Ports) -> None:
    assert selectors(ports) == []
    dkim.enable(ports, act(), domain="example.com")
    assert selectors(ports) == ["mail"]
    assert selectors(ports, "bob.test") == []
    with ports.store.reading() as unit:
        [key] = signing.keys(unit, "example.com")
    assert (key.algorithm, key.opened(ports)[:27]) == ("rsa", b"-----BEGIN PRIVATE KEY-----")
    dkim.disable(ports, act(), domain="example.com")
    assert selectors(ports) == []


def test_a_key_does_not_sign_while_its_record_is_being_withdrawn(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    dkim.enable(ports, act(), domain="example.com")
    seen: list[list[str]] = []
    monkeypatch.setattr(publication, "_carry_out", lambda *_, **__: seen.append(selectors(ports)))
    dkim.disable(ports, act(), domain="example.com")
    assert seen == [[]]
