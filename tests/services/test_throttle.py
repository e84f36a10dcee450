"""The login throttle by itself: what counts, what is blocked, and what is forgotten."""

import sqlalchemy as sa

from mailsvc.services import throttle
from mailsvc.services.ports import Ports
from tests.services.callers import found

PAIR = throttle.pair_of("alice", "192.0.2.1")
OTHER = throttle.pair_of("alice", "192.0.2.2")


def fail(ports: Ports, pair: str = PAIR, times: int = 1) -> None:
    for _ in range(times):
        with ports.store.writing() as unit:
            throttle.note_failure(unit, pair)


def is_blocked(ports: Ports, pair: str = PAIR) -> bool:
    with ports.store.reading() as unit:
        return throttle.blocked_until(unit, pair) is not None


def pass_time(ports: Ports, seconds: float) -> None:
    """Let what is on file be so much older."""
    with ports.store.writing() as unit:
        unit.execute(sa.text("UPDATE login_failure SET at = at - :ms"), {"ms": int(seconds * 1000)})
        unit.execute(sa.text("UPDATE login_block SET until = until - :ms"), {"ms": int(seconds * 1000)})


def remembered(ports: Ports) -> int:
    """How many failures are on file."""
    return int(found(ports, "SELECT count(*) FROM login_failure")[0][0])


def test_five_failures_within_a_minute_block_that_pair_and_no_other(ports: Ports) -> None:
    fail(ports, OTHER, 4)
    seen = []
    for _ in range(5):
        fail(ports)
        seen.append(is_blocked(ports))
    assert seen == [False, False, False, False, True]
    assert not is_blocked(ports, OTHER)
    fail(ports, OTHER)
    assert is_blocked(ports, OTHER)


def test_a_block_ends_after_a_minute_and_the_count_begins_anew(ports: Ports) -> None:
    fail(ports, times=5)
    pass_time(ports, 50)
    assert is_blocked(ports)
    pass_time(ports, 11)
    assert not is_blocked(ports)
    fail(ports, times=4)
    assert not is_blocked(ports)
    fail(ports)
    assert is_blocked(ports)


def test_failures_count_for_a_minute(ports: Ports) -> None:
    fail(ports)
    pass_time(ports, 40)
    fail(ports, times=3)
    pass_time(ports, 21)
    fail(ports)
    assert not is_blocked(ports), "the first is more than a minute old"
    fail(ports)
    assert is_blocked(ports)


def test_what_no_longer_matters_is_forgotten_of_all_pairs(ports: Ports) -> None:
    for number in range(6):
        fail(ports, throttle.pair_of("alice", f"198.51.100.{number}"), 2)
    fail(ports, OTHER, 5)
    assert remembered(ports) == 12
    pass_time(ports, 61)
    fail(ports)
    assert remembered(ports) == 1
    assert found(ports, "SELECT count(*) FROM login_block") == [(0,)]


def test_a_pair_that_fails_while_it_is_blocked_has_one_block(ports: Ports) -> None:
    """As may happen to attempts that were under way already."""
    fail(ports, times=10)
    assert found(ports, "SELECT pair FROM login_block") == [(PAIR,)]
    assert remembered(ports) == 0


def test_pairs_are_told_apart_and_not_kept_in_clear(ports: Ports) -> None:
    names = ["alice", "Alice", "alice@192.0.2.1", "", "5:alice", "a\0b", "\ud800", "é"]
    addresses = ["192.0.2.1", "2001:db8::1", "", "192.0.2.1@192.0.2.1"]
    pairs = {throttle.pair_of(name, address) for name in names for address in addresses}
    assert len(pairs) == len(names) * len(addresses)
    fail(ports, times=5)
    fail(ports, OTHER)
    on_file = repr(found(ports, "SELECT * FROM login_failure") + found(ports, "SELECT * FROM login_block"))
    assert "alice" not in on_file
    assert "192.0.2" not in on_file
