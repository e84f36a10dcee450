"""addforward: rules that grow by merging, never loop, and are never half written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import BAD_PARAMETERS, ON_SQLITE, Panel
from tests.protocols.brainycp.stored import everything, forwards

SALES = "sales@example.com"


def defined(source: str, targets: str) -> tuple[int, str]:
    return 0, f"Mailbox forwarding was successfully defined: {source} => {targets}"


def failed(reason: str) -> tuple[int, str]:
    return 1, f"Mailbox forwarding error: {reason}"


def add(panel: Panel, source: str, target: str, **fields: str) -> tuple[int, str]:
    return panel.says("addforward", source=source, target=target, **fields)


def test_targets_are_merged_old_ones_first(alice: Panel, ports: Ports) -> None:
    """Checklist 16: merge, de-duplication, idempotent repeat; the text shows this request's targets."""
    assert add(alice, SALES, "z@b.example,a@b.example") == defined(SALES, "z@b.example,a@b.example")
    assert add(alice, SALES, "m@b.example,a@b.example") == defined(SALES, "m@b.example,a@b.example")
    merged = {SALES: (0, ["z@b.example", "a@b.example", "m@b.example"])}
    assert forwards(ports) == merged
    before = everything(ports)
    for repeat in ("z@b.example", "m@b.example,z@b.example,a@b.example"):
        assert add(alice, SALES, repeat) == defined(SALES, repeat)
    assert everything(ports) == before
    assert add(alice, SALES, "b@b.example")[0] == 0
    assert forwards(ports)[SALES][1] == ["z@b.example", "a@b.example", "m@b.example", "b@b.example"]


@ON_SQLITE
def test_a_list_is_tidied_and_made_canonical(alice: Panel, ports: Ports) -> None:
    """Checklist 13 and 16: items trimmed, empty ones and duplicates dropped, first place kept."""
    sent = ", B @ X.example ,,a@x.example,  b@x.example,A@X.EXAMPLE , c@почта.рф,"
    tidied = "b@x.example,a@x.example,c@xn--80a1acny.xn--p1ai"
    assert add(alice, " Sales @ Example.com", sent) == defined(SALES, tidied)
    assert forwards(ports) == {SALES: (0, tidied.split(","))}


@ON_SQLITE
def test_source_and_target_may_be_any_plain_address(alice: Panel, ports: Ports) -> None:
    """Checklist 16: a source without a mailbox works."""
    strange = "o'brien=a&b#c~d+e@example.com"
    assert add(alice, strange, "=&'#~@b.example") == defined(strange, "=&'#~@b.example")
    assert add(alice, "old@example.com", strange) == defined("old@example.com", strange)
    assert set(forwards(ports)) == {strange, "old@example.com"}


@ON_SQLITE
def test_every_spelling_of_save_local(alice: Panel, ports: Ports) -> None:
    """Checklist 16: absent on a new rule is no; absent on an existing rule keeps what it says."""
    assert add(alice, SALES, "a@b.example")[0] == 0
    assert forwards(ports)[SALES][0] == 0
    yes = ["1", "y", "Y", "yes", "YES", "on", "On", "true", " TRUE "]
    no = ["0", "n", "N", "no", "No", "off", "OFF", "false", " False ", "", "  "]
    for kept, spellings in ((1, yes), (0, no)):
        for spelling in spellings:
            assert add(alice, SALES, "a@b.example", save_local=spelling)[0] == 0
            assert forwards(ports)[SALES] == (kept, ["a@b.example"]), spelling
            assert add(alice, SALES, "a@b.example")[0] == 0
            assert forwards(ports)[SALES][0] == kept
            assert add(alice, SALES, "a@b.example", save_local="0" if kept else "1")[0] == 0


@ON_SQLITE
def test_a_new_rule_may_keep_a_local_copy(alice: Panel, ports: Ports) -> None:
    assert add(alice, SALES, "a@b.example", save_local="yes")[0] == 0
    assert add(alice, SALES, "c@b.example")[0] == 0
    assert forwards(ports) == {SALES: (1, ["a@b.example", "c@b.example"])}


BAD_SOURCES = ["", "@example.com", "sales", "|x@example.com", "a b@example.com", "*@example.com", "a\t@example.com"]
BAD_TARGETS = [
    "", " ", ",", " , ,", "|/bin/sh", "a@b.example,|/bin/sh", "a@b.example,/var/mail/x", "a@b.example,`id`", "a",
    "a@b.example;c@b.example", "a@b.example c@b.example", '"|id"@b.example', "a@[192.0.2.1]", "@b.example", "a@b",
    ":include:/etc/passwd", "a@b.example,b%c@d.example", "a!b@c.example", "a@b.example\n,c@d.example", "a\0@b.example",
    "a@b.example,\ufffd@c.example", "ящик@b.example", "x" * 65 + "@b.example",
]  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [{"source": source} for source in (None, *BAD_SOURCES)]
    + [{"target": target} for target in (None, *BAD_TARGETS)]
    + [{"save_local": word} for word in ("2", "-1", "maybe", "ja", "да", "yes!", "1 1", "tru", "y\n", "on\ufffd")],
    ids=repr,
)
def test_parameter_errors(in_vain: Panel, changed: dict[str, str | None]) -> None:
    """Checklist 16: one bad item is enough, and nothing is written."""
    sent = {"source": SALES, "target": "a@b.example"} | changed
    fields = {name: value for name, value in sent.items() if value is not None}
    assert in_vain.says("addforward", **fields) == BAD_PARAMETERS


@ON_SQLITE
def test_a_refusal_leaves_an_existing_rule_as_it_is(alice: Panel, ports: Ports) -> None:
    """Checklist 16: a bad item, a loop, or one target too many writes nothing, the local copy included."""
    assert add(alice, SALES, "a@b.example")[0] == 0
    before = everything(ports)
    many = ",".join(f"t{number}@b.example" for number in range(100))
    for target, code in (("b@b.example,|/bin/sh", 2), (f"b@b.example,{SALES}", 1), (many, 1)):
        assert add(alice, SALES, target, save_local="1")[0] == code
        assert everything(ports) == before


def test_a_domain_outside_the_scope(alice: Panel, root: Panel, ports: Ports) -> None:
    for domain in ("bob.test", "nowhere.test"):
        unknown = failed(f"domain not found for this user: {domain}")
        assert add(alice, f"a@{domain}", "b@c.example") == unknown
        assert add(root, f"a@{domain}", "b@c.example", panel_user="alice") == unknown
    assert forwards(ports) == {}
    assert add(root, "a@bob.test", "b@c.example") == defined("a@bob.test", "b@c.example")


@ON_SQLITE
@pytest.mark.parametrize("save_local", ["0", "1"])
def test_loops(alice: Panel, bob: Panel, ports: Ports, save_local: str) -> None:
    """Checklist 16: to itself, in two steps, through somebody else's rule; the first target that closes it is told."""

    def loop(source: str, target: str) -> tuple[int, str]:
        return failed(f"forwarding loop: {source} => {target}")

    assert add(alice, SALES, SALES, save_local=save_local) == loop(SALES, SALES)
    assert add(alice, SALES, f"a@b.example,Sales@EXAMPLE.com,{SALES}", save_local=save_local) == loop(SALES, SALES)
    assert forwards(ports) == {}
    assert add(alice, "a@example.com", "out@b.example,b@example.com")[0] == 0
    assert add(alice, "b@example.com", "a@example.com", save_local=save_local) == loop("b@example.com", "a@example.com")
    assert add(alice, "b@example.com", "c@bob.test")[0] == 0
    assert add(bob, "c@bob.test", "x@b.example,a@example.com", save_local=save_local) == loop(
        "c@bob.test", "a@example.com"
    )
    assert add(bob, "c@bob.test", "x@b.example,b@example.com,a@example.com") == loop("c@bob.test", "b@example.com")
    assert add(bob, "c@bob.test", "x@b.example")[0] == 0


@ON_SQLITE
def test_the_same_place_by_two_ways_is_no_loop(alice: Panel, ports: Ports) -> None:
    assert add(alice, "b@example.com", "d@example.com")[0] == 0
    assert add(alice, "c@example.com", "d@example.com")[0] == 0
    assert add(alice, "a@example.com", "b@example.com,c@example.com,d@example.com")[0] == 0
    assert add(alice, "d@example.com", "out@b.example")[0] == 0
    assert len(forwards(ports)) == 4


def test_a_hundred_targets_are_enough(alice: Panel, ports: Ports) -> None:
    """Checklist 16: 101 targets give 1, at once or one by one."""
    targets = [f"t{number}@b.example" for number in range(101)]
    too_many = failed(f"more than 100 destination addresses: {SALES}")
    assert add(alice, SALES, ",".join(targets)) == too_many
    assert forwards(ports) == {}
    assert add(alice, SALES, ",".join(targets[:60]))[0] == 0
    assert add(alice, SALES, ",".join(targets[60:])) == too_many
    assert add(alice, SALES, ",".join(targets[50:100]))[0] == 0
    assert add(alice, SALES, targets[100]) == too_many
    assert add(alice, SALES, ",".join(targets[:100]))[0] == 0
    assert forwards(ports) == {SALES: (0, targets[:100])}


@contextmanager
def counted_statements(ports: Ports) -> Iterator[list[str]]:
    """The statements that reach the database within the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(ports.store.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(ports.store.engine, "before_cursor_execute", note)


@ON_SQLITE
def test_thousands_of_targets_do_not_keep_the_store_busy(alice: Panel, ports: Ports) -> None:
    """Nobody else can write meanwhile, and a megabyte holds seventy thousand addresses."""
    targets = ",".join(f"t{number}+x@b.example" for number in range(2000))
    with counted_statements(ports) as statements:
        assert add(alice, SALES, targets) == failed(f"more than 100 destination addresses: {SALES}")
    assert len(statements) < 100
