"""delforward: takes targets out of a rule, or the whole rule."""

import pytest

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import BAD_PARAMETERS, ON_SQLITE, Panel
from tests.protocols.brainycp.stored import everything, forwards

SALES = "sales@example.com"
DELETED = (0, "Mailbox forwarding was deleted")


def failed(reason: str) -> tuple[int, str]:
    return 1, f"Error deleting mailbox forwarding: {reason}"


@pytest.fixture
def rule(alice: Panel) -> None:
    """A rule with three targets and a local copy."""
    targets = "c@b.example,a@b.example,b@b.example"
    assert alice.says("addforward", source=SALES, target=targets, save_local="1")[0] == 0


@pytest.mark.usefixtures("rule")
def test_listed_targets_go_and_the_rule_with_the_last_one(alice: Panel, ports: Ports) -> None:
    """Checklist 17."""
    assert alice.says("delforward", source=SALES, target="a@b.example") == DELETED
    assert forwards(ports) == {SALES: (1, ["c@b.example", "b@b.example"])}
    assert alice.says("addforward", source=SALES, target="a@b.example")[0] == 0
    assert forwards(ports) == {SALES: (1, ["c@b.example", "b@b.example", "a@b.example"])}
    assert alice.says("delforward", source="Sales@Example.com", target=" B @ b.example,, c@B.example,") == DELETED
    assert forwards(ports) == {SALES: (1, ["a@b.example"])}
    assert alice.says("delforward", source=SALES, target="a@b.example,A@b.example") == DELETED
    assert forwards(ports) == {}
    assert alice.says("delforward", source=SALES) == failed(f"no forwarding is defined for: {SALES}")


@pytest.mark.usefixtures("rule")
def test_without_a_target_field_the_whole_rule_goes(alice: Panel, ports: Ports) -> None:
    """Checklist 17; a rule made anew remembers nothing of it."""
    assert alice.says("delforward", source=SALES) == DELETED
    assert forwards(ports) == {}
    assert alice.says("addforward", source=SALES, target="x@b.example")[0] == 0
    assert forwards(ports) == {SALES: (0, ["x@b.example"])}


@ON_SQLITE
@pytest.mark.usefixtures("rule")
def test_an_unknown_target_removes_nothing(alice: Panel, ports: Ports) -> None:
    """Checklist 17: the first one that is missing is told."""
    before = everything(ports)
    for sent, missing in (
        ("x@b.example", "x@b.example"),
        ("a@b.example,x@b.example", "x@b.example"),
        ("z@b.example,a@b.example,x@b.example", "z@b.example"),
        ("a@b.example,b@b.example,c@b.example,Old@Example.com", "old@example.com"),
    ):
        assert alice.says("delforward", source=SALES, target=sent) == failed(
            f"no such forwarding: {SALES} => {missing}"
        )
        assert everything(ports) == before


@ON_SQLITE
@pytest.mark.usefixtures("rule")
def test_only_the_named_rule_is_touched(alice: Panel, ports: Ports) -> None:
    assert alice.says("addforward", source="other@example.com", target="a@b.example")[0] == 0
    assert alice.says("delforward", source=SALES, target="a@b.example") == DELETED
    assert alice.says("delforward", source=SALES) == DELETED
    assert forwards(ports) == {"other@example.com": (0, ["a@b.example"])}


@pytest.mark.usefixtures("rule")
def test_a_foreign_rule_and_an_absent_one_look_alike(bob: Panel, root: Panel, ports: Ports) -> None:
    before = everything(ports)
    for source in (SALES, "none@example.com", "none@bob.test", "a@nowhere.test"):
        for fields in ({}, {"target": "a@b.example"}, {"target": "x@b.example"}):
            absent = failed(f"no forwarding is defined for: {source}")
            assert bob.says("delforward", source=source, **fields) == absent
            assert root.says("delforward", source=source, panel_user="bob", **fields) == absent
    assert everything(ports) == before
    assert root.says("delforward", source=SALES) == DELETED


@pytest.mark.parametrize(
    "fields",
    [{}, {"source": ""}, {"source": "@example.com"}, {"source": "sales"}, {"target": "a@b.example"}]
    + [
        {"source": SALES, "target": target}
        for target in ("", " ", ",", "|/bin/sh", "a@b.example,|/bin/sh", "a", "a\0@b.example")
    ],
    ids=repr,
)
def test_parameter_errors(in_vain: Panel, fields: dict[str, str]) -> None:
    """Checklist 17: an empty ``target`` gives 2, also where there is no rule."""
    assert in_vain.says("delforward", **fields) == BAD_PARAMETERS
