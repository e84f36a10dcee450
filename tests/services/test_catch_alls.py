"""The catch-all of a domain: never before a mailbox or a forward, never round in a circle, never to nobody."""

from collections.abc import Callable

import pytest

from mailsvc.core.acts import Act
from mailsvc.core.addresses import mail_address
from mailsvc.core.refusals import AlreadyInThatState, ForwardLoop, NoSuchMailbox, Refusal, UnknownDomain
from mailsvc.services import catch_alls, domains, forwards
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import act_of, add_mailbox, everything, found, last_audit_entry, remove_mailbox


def direct(ports: Ports, target: str, domain: str = "example.com", by: Act | None = None) -> None:
    catch_alls.direct(ports, by or act(), domain=domain, target=mail_address(target))


def off(ports: Ports, domain: str = "example.com", by: Act | None = None) -> None:
    catch_alls.switch_off(ports, by or act(), domain=domain)


def forward(ports: Ports, source: str, *targets: str) -> None:
    forwards.add(ports, act(), source=mail_address(source), targets=[mail_address(target) for target in targets])


def served(ports: Ports) -> dict[str, str]:
    """What Postfix finds."""
    return dict(found(ports, "SELECT domain, target FROM postfix_catch_all"))


def refused(ports: Ports, attempt: Callable[[], None]) -> type[Refusal]:
    before = everything(ports)
    with pytest.raises(Refusal) as refusal:
        attempt()
    assert everything(ports) == before
    return type(refusal.value)


def test_it_is_on_until_it_is_off_and_has_one_target(ports: Ports) -> None:
    alice = act_of(ports, "alice")
    assert catch_alls.target_of(ports, alice.acting, domain="example.com") is None
    for target in ("old@example.com", "a@elsewhere.example", "a@elsewhere.example"):
        direct(ports, target, by=alice)
        assert served(ports) == {"example.com": target}
        assert catch_alls.target_of(ports, alice.acting, domain="example.com") == target
        assert last_audit_entry(ports)[2:] == ("alice", "alice", "example.com", "done", 0)
    off(ports, by=alice)
    assert served(ports) == {}
    assert refused(ports, lambda: off(ports)) is AlreadyInThatState


def test_only_a_domain_in_scope_can_have_one(ports: Ports) -> None:
    alice = act_of(ports, "alice")
    for domain in ("bob.test", "nowhere.test"):
        assert refused(ports, lambda name=domain: direct(ports, "a@b.example", name, alice)) is UnknownDomain  # type: ignore[misc]
        assert refused(ports, lambda name=domain: off(ports, name, alice)) is UnknownDomain  # type: ignore[misc]


def test_it_goes_with_its_domain(ports: Ports) -> None:
    direct(ports, "a@elsewhere.example")
    domains.remove(ports, act(), name="example.com")
    domains.add(ports, act(), name="example.com", owner="bob")
    assert served(ports) == {}


def test_a_target_on_this_server_has_to_take_mail(ports: Ports) -> None:
    for nobody in ("nobody@example.com", "nobody@bob.test", "old+tag@example.com"):
        assert refused(ports, lambda target=nobody: direct(ports, target)) is NoSuchMailbox  # type: ignore[misc]
    forward(ports, "sales@bob.test", "a@elsewhere.example")
    direct(ports, "sales@bob.test")
    assert served(ports) == {"example.com": "sales@bob.test"}


def test_a_target_that_goes_away_catches_nothing_while_it_is_gone(ports: Ports) -> None:
    add_mailbox(ports, "all@bob.test")
    direct(ports, "all@bob.test")
    remove_mailbox(ports, "all@bob.test")
    assert served(ports) == {}
    add_mailbox(ports, "all@bob.test")
    assert served(ports) == {"example.com": "all@bob.test"}
    domains.remove(ports, act(), name="bob.test")
    assert served(ports) == {"example.com": "all@bob.test"}, "an address elsewhere now"


def test_mail_never_goes_round_through_a_catch_all(ports: Ports) -> None:
    forward(ports, "round@example.com", "nobody@example.com")
    assert refused(ports, lambda: direct(ports, "round@example.com")) is ForwardLoop
    forward(ports, "far@example.com", "nobody@bob.test")
    direct(ports, "far@example.com")
    assert refused(ports, lambda: direct(ports, "round@example.com", "bob.test")) is ForwardLoop
    forward(ports, "home@bob.test", "old@example.com")
    direct(ports, "home@bob.test", "bob.test")
    assert served(ports) == {"bob.test": "home@bob.test", "example.com": "far@example.com"}


def test_nor_does_a_forward_that_is_added_later(ports: Ports) -> None:
    direct(ports, "old@example.com")
    assert refused(ports, lambda: forward(ports, "old@example.com", "nobody@example.com")) is ForwardLoop
    assert refused(ports, lambda: forward(ports, "old@example.com", "no+body@example.com")) is ForwardLoop
    add_mailbox(ports, "team@example.com")
    forward(ports, "old@example.com", "nobody@bob.test", "a@elsewhere.example", "team+x@example.com")
    add_mailbox(ports, "info@example.com")
    forward(ports, "info@example.com", "nobody@example.com")
