"""getforwardmail: every rule of the scope, in a form that addforward takes back."""

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import ON_SQLITE, Panel
from tests.protocols.brainycp.stored import everything, forwards


def nothing(name: str) -> dict[str, object]:
    text = f"Nothing was found for: {name}"
    return {"error": 1, "mess": text, "code": 1, "message": text, "data": []}


def test_nothing_there(bob: Panel, root: Panel) -> None:
    """Checklist 19: code 1 with empty ``data``."""
    assert bob.post("getforwardmail") == nothing("bob")
    assert root.post("getforwardmail") == nothing("root")
    assert root.post("getforwardmail", panel_user="alice") == nothing("alice")


def test_who_sees_what_and_in_which_order(alice: Panel, bob: Panel, root: Panel) -> None:
    """Checklist 19: root sees every domain, and with ``panel_user`` only that user's."""
    for panel, source, target in (
        (bob, "m@bob.test", "old@example.com"),
        (alice, "a.b@example.com", "z@b.example,a@b.example"),
        (alice, "a-b@example.com", "m@bob.test"),
        (alice, "z@example.com", "m@bob.test"),
    ):
        assert panel.says("addforward", source=source, target=target)[0] == 0
    of_alice = ["a-b@example.com", "a.b@example.com", "z@example.com"]
    everybodys = ["a-b@example.com", "a.b@example.com", "m@bob.test", "z@example.com"]
    for panel, user, name, sources in (
        (alice, "", "alice", of_alice),
        (bob, "", "bob", ["m@bob.test"]),
        (root, "", "root", everybodys),
        (root, "alice", "alice", of_alice),
    ):
        reply = panel.post("getforwardmail", panel_user=user)
        text = f"The mailbox list was successfully retrieved for: {name}"
        assert (reply["error"], reply["mess"]) == (0, text)
        assert [rule["source"] for rule in reply["data"]] == sources


@ON_SQLITE
def test_targets_in_stored_order_and_numbers_for_the_local_copy(alice: Panel) -> None:
    alice.post("addforward", source="b@example.com", target="z@b.example,a@b.example", save_local="yes")
    alice.post("addforward", source="a@example.com", target="z@b.example")
    reply = alice.post("getforwardmail")
    assert reply["data"] == [
        {"source": "a@example.com", "target": "z@b.example", "save_local": 0},
        {"source": "b@example.com", "target": "z@b.example,a@b.example", "save_local": 1},
    ]
    assert [type(rule["save_local"]) for rule in reply["data"]] == [int, int]
    assert list(reply) == ["error", "mess", "code", "message", "data"]
    assert list(reply["data"][0]) == ["source", "target", "save_local"]


@ON_SQLITE
def test_the_list_feeds_back_into_addforward(alice: Panel, ports: Ports) -> None:
    alice.post("addforward", source="b@example.com", target="z@b.example,a@b.example", save_local="yes")
    alice.post("addforward", source="o'neil=x@example.com", target="a&b@b.example")
    rules = alice.post("getforwardmail")["data"]
    before, shown = everything(ports), forwards(ports)
    for rule in rules:
        assert alice.says("addforward", **{name: str(value) for name, value in rule.items()})[0] == 0
    assert everything(ports) == before
    for rule in rules:
        assert alice.says("delforward", source=rule["source"])[0] == 0
        assert alice.says("addforward", **{name: str(value) for name, value in rule.items()})[0] == 0
    assert forwards(ports) == shown
