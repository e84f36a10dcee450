"""Forwards: merged, removed by target, never in a circle."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailsvc.core.acts import Act
from mailsvc.core.addresses import mail_address
from mailsvc.core.refusals import ForwardLoop, NoSuchTarget, NothingStored, Refusal, TooManyTargets, UnknownDomain
from mailsvc.services import forwards
from mailsvc.services.forwards import ListedForward
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import act_of, add_mailbox, everything, last_audit_entry, remove_mailbox


def add(ports: Ports, source: str, *targets: str, keep_local: bool | None = None, by: Act | None = None) -> None:
    wanted = [mail_address(target) for target in targets]
    forwards.add(ports, by or act(), source=mail_address(source), targets=wanted, keep_local=keep_local)


def remove(ports: Ports, source: str, *targets: str, by: Act | None = None) -> None:
    """Without targets, the whole rule."""
    unwanted = [mail_address(target) for target in targets] or None
    forwards.remove(ports, by or act(), source=mail_address(source), targets=unwanted)


def rules(ports: Ports, name: str = "root") -> Sequence[ListedForward]:
    return forwards.listed(ports, act_of(ports, name).acting)


def refused_as_loop(ports: Ports, source: str, *targets: str) -> str:
    """The target that is named as the one that closes the loop. Asserts that nothing was changed."""
    before = everything(ports)
    with pytest.raises(ForwardLoop) as refused:
        add(ports, source, *targets)
    assert refused.value.facts["source"] == source
    assert everything(ports) == before
    return str(refused.value.facts["target"])


def test_a_rule_keeps_the_order_of_its_targets(ports: Ports) -> None:
    add(
        ports,
        "sales@example.com",
        "c@x.example",
        "a@x.example",
        "b@x.example",
        "a@x.example",
        by=act_of(ports, "alice"),
    )
    assert rules(ports) == [ListedForward("sales@example.com", False, ["c@x.example", "a@x.example", "b@x.example"])]
    assert last_audit_entry(ports) == ("test", "test", "alice", "alice", "sales@example.com", "done", 0)


def test_a_second_rule_of_the_same_source_is_merged_into_the_first(ports: Ports) -> None:
    add(ports, "sales@example.com", "b@x.example", keep_local=True)
    add(ports, "sales@example.com", "a@x.example", "b@x.example")
    remove(ports, "sales@example.com", "b@x.example")
    add(ports, "sales@example.com", "c@x.example", "b@x.example")
    assert rules(ports) == [ListedForward("sales@example.com", True, ["a@x.example", "c@x.example", "b@x.example"])]


def test_the_local_copy_changes_only_when_it_is_said(ports: Ports) -> None:
    seen = []
    for keep_local in (None, True, None, False, None):
        add(ports, "sales@example.com", "a@x.example", keep_local=keep_local)
        seen.append(rules(ports)[0].keep_local)
    assert seen == [False, True, True, False, False]


def test_a_rule_has_a_hundred_targets_at_most(ports: Ports) -> None:
    add(ports, "sales@example.com", *(f"u{number}@x.example" for number in range(99)))
    before = everything(ports)
    with pytest.raises(TooManyTargets) as refused:
        add(ports, "sales@example.com", "v@x.example", "w@x.example", "u1@x.example", keep_local=True)
    assert refused.value.facts == {"source": "sales@example.com", "limit": 100}
    with pytest.raises(TooManyTargets):
        add(ports, "info@example.com", *(f"u{number}@x.example" for number in range(101)))
    assert everything(ports) == before
    add(ports, "sales@example.com", "v@x.example", "u1@x.example")
    assert len(rules(ports)[0].targets) == 100


def test_a_source_out_of_scope_is_of_an_unknown_domain(ports: Ports) -> None:
    before, alice = everything(ports), act_of(ports, "alice")
    for domain in ("nowhere.test", "bob.test"):
        with pytest.raises(UnknownDomain):
            add(ports, f"a@{domain}", "old@example.com", by=alice)
    assert everything(ports) == before


def test_targets_go_one_by_one_and_the_rule_with_its_last(ports: Ports) -> None:
    add(ports, "sales@example.com", "a@x.example", "b@x.example", "c@x.example")
    remove(ports, "sales@example.com", "b@x.example", "b@x.example")
    assert rules(ports) == [ListedForward("sales@example.com", False, ["a@x.example", "c@x.example"])]
    before = everything(ports)
    with pytest.raises(NoSuchTarget) as refused:
        remove(ports, "sales@example.com", "a@x.example", "b@x.example")
    assert refused.value.facts == {"source": "sales@example.com", "target": "b@x.example"}
    assert everything(ports) == before
    remove(ports, "sales@example.com", "c@x.example", "a@x.example", by=act_of(ports, "alice"))
    assert rules(ports) == []
    assert last_audit_entry(ports) == ("test", "test", "alice", "alice", "sales@example.com", "done", 0)


def test_without_targets_the_whole_rule_goes(ports: Ports) -> None:
    add(ports, "sales@example.com", "a@x.example", "b@x.example")
    add(ports, "info@example.com", "a@x.example")
    remove(ports, "sales@example.com")
    assert rules(ports) == [ListedForward("info@example.com", False, ["a@x.example"])]


def test_there_is_nothing_to_remove_where_there_is_no_rule_in_scope(ports: Ports) -> None:
    add(ports, "sales@example.com", "a@x.example")
    before, bob = everything(ports), act_of(ports, "bob")
    for source in ("sales@example.com", "info@bob.test", "a@nowhere.test"):
        for targets in ((), ("a@x.example",)):
            with pytest.raises(NothingStored):
                remove(ports, source, *targets, by=bob)
    assert everything(ports) == before


def test_lists_are_of_ones_own_domains_and_in_order(ports: Ports) -> None:
    for source in ("z@example.com", "a-b@example.com", "ab@example.com", "m@bob.test"):
        add(ports, source, "b@x.example", "a@x.example")
    both = ["b@x.example", "a@x.example"]
    of_alice = [ListedForward(f"{name}@example.com", False, both) for name in ("a-b", "ab", "z")]
    assert rules(ports, "alice") == of_alice
    assert rules(ports, "bob") == [ListedForward("m@bob.test", False, both)]
    assert rules(ports) == [*of_alice[:2], ListedForward("m@bob.test", False, both), of_alice[2]]


def test_nobody_forwards_to_himself(ports: Ports) -> None:
    assert refused_as_loop(ports, "a@example.com", "b@x.example", "a@example.com") == "a@example.com"


def test_a_loop_over_several_rules_is_refused_with_the_target_that_closes_it(ports: Ports) -> None:
    add(ports, "b@example.com", "x@x.example", "c@bob.test")
    add(ports, "c@bob.test", "d@example.com", keep_local=True)
    add(ports, "e@example.com", "x@x.example")
    assert refused_as_loop(ports, "d@example.com", "e@example.com", "b@example.com") == "b@example.com"
    assert refused_as_loop(ports, "d@example.com", "c@bob.test", "b@example.com") == "c@bob.test"
    add(ports, "d@example.com", "e@example.com", "y@x.example")


def test_a_target_that_is_merged_can_close_a_loop(ports: Ports) -> None:
    add(ports, "a@example.com", "b@example.com")
    add(ports, "b@example.com", "x@x.example")
    assert refused_as_loop(ports, "b@example.com", "a@example.com") == "a@example.com"
    remove(ports, "a@example.com")
    add(ports, "b@example.com", "a@example.com")


def test_two_ways_to_one_address_are_no_loop(ports: Ports) -> None:
    add(ports, "left@example.com", "end@example.com")
    add(ports, "right@example.com", "end@example.com")
    add(ports, "start@example.com", "left@example.com", "right@example.com", "end@example.com")
    assert refused_as_loop(ports, "end@example.com", "start@example.com") == "start@example.com"


def test_an_extension_falls_back_to_the_address_without_it(ports: Ports) -> None:
    """Postfix delivers to ``a`` what is for ``a+x`` when there is nothing of that name."""
    assert refused_as_loop(ports, "a@example.com", "a+x@example.com") == "a+x@example.com"
    add(ports, "b@example.com", "a+x+y@example.com")
    assert refused_as_loop(ports, "a@example.com", "b@example.com") == "b@example.com"
    add(ports, "a@example.com", "a+x@elsewhere.example")


def test_an_extension_that_is_a_mailbox_or_a_rule_of_its_own_goes_nowhere_else(ports: Ports) -> None:
    add_mailbox(ports, "a+box@example.com")
    add(ports, "a+rule@example.com", "x@x.example")
    add(ports, "a@example.com", "a+box@example.com", "a+rule@example.com")
    assert refused_as_loop(ports, "a+rule@example.com", "a@example.com") == "a@example.com"
    remove_mailbox(ports, "a+box@example.com")
    assert refused_as_loop(ports, "a@example.com", "a+box@example.com") == "a+box@example.com"


def test_a_rule_of_an_extension_may_lead_to_the_address_without_it(ports: Ports) -> None:
    add(ports, "a+x@example.com", "a@example.com")
    assert refused_as_loop(ports, "a@example.com", "a+x@example.com") == "a+x@example.com"
    add(ports, "a@example.com", "x@x.example")


def test_a_loop_is_found_through_many_rules_with_many_targets(ports: Ports) -> None:
    """More addresses on one level than are asked for in one statement."""
    for number in range(8):
        add(ports, f"l{number}@example.com", *(f"m{number}-{at}@example.com" for at in range(90)))
    add(ports, "m7-89@example.com", "end@example.com")
    everyone = [f"l{number}@example.com" for number in range(8)]
    assert refused_as_loop(ports, "end@example.com", *everyone) == "l7@example.com"
    add(ports, "start@example.com", *everyone)
    assert refused_as_loop(ports, "end@example.com", "x@x.example", "start@example.com") == "start@example.com"


def test_of_two_rules_that_would_make_a_loop_together_one_is_refused(ports: Ports) -> None:
    def attempt(pair: tuple[str, str]) -> type[Refusal] | None:
        try:
            add(ports, *pair)
        except ForwardLoop as refusal:
            return type(refusal)
        return None

    with ThreadPoolExecutor(2) as threads:
        for number in range(5):
            here, there = f"a{number}@example.com", f"b{number}@example.com"
            outcomes = list(threads.map(attempt, [(here, there), (there, here)]))
            assert sorted(outcomes, key=str) == [ForwardLoop, None]
