"""getlistmail: every mailbox of the scope, once as an address and once with its details."""

from mailsvc.core.addresses import mailbox_address
from mailsvc.services import mailboxes
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.brainycp.panel import ON_SQLITE, Panel
from tests.protocols.brainycp.stored import change


def found(name: str) -> str:
    return f"The mailbox list was successfully retrieved for: {name}"


def nothing(name: str) -> dict[str, object]:
    text = f"Nothing was found for: {name}"
    return {"error": 1, "mess": text, "code": 1, "message": text, "data": [], "boxes": []}


def test_nothing_there(bob: Panel, root: Panel, ports: Ports) -> None:
    """Checklist 19: code 1 with empty ``data`` and ``boxes``."""
    assert bob.post("getlistmail") == nothing("bob")
    assert root.post("getlistmail", panel_user="bob") == nothing("bob")
    change(ports, "DELETE FROM mailbox")
    assert root.post("getlistmail") == nothing("root")


def test_who_sees_what(alice: Panel, bob: Panel, root: Panel) -> None:
    """Checklist 19: root sees every domain, and with ``panel_user`` only that user's."""
    assert bob.says("addmail", email="box@bob.test", password="Box-1", quota="5")[0] == 0
    for panel, user, name, data in (
        (alice, "", "alice", ["old@example.com"]),
        (bob, "", "bob", ["box@bob.test"]),
        (root, "", "root", ["box@bob.test", "old@example.com"]),
        (root, "root", "root", ["box@bob.test", "old@example.com"]),
        (root, "alice", "alice", ["old@example.com"]),
        (root, "bob", "bob", ["box@bob.test"]),
    ):
        reply = panel.post("getlistmail", panel_user=user)
        assert (reply["error"], reply["mess"], reply["data"]) == (0, found(name), data)
        assert [box["email"] for box in reply["boxes"]] == data


def test_the_order_is_that_of_the_bytes(alice: Panel, ports: Ports) -> None:
    """On both engines alike, whatever their languages think of dots and hyphens."""
    locals_ = ["a-b", "a.b", "a", "ab", "a_b", "a+b", "_a", "0", "z", "b"]
    for local in locals_:
        address = mailbox_address(f"{local}@example.com")
        mailboxes.add(ports, act(), address=address, password="Box-1", quota_mib=0)
    reply = alice.post("getlistmail")
    assert reply["data"] == sorted([*(f"{local}@example.com" for local in locals_), "old@example.com"])
    assert [box["email"] for box in reply["boxes"]] == reply["data"]


@ON_SQLITE
def test_details_and_disabled_mailboxes(alice: Panel, ports: Ports) -> None:
    assert alice.says("addmail", email="new@example.com", password="Box-1", quota="2147483647")[0] == 0
    mailboxes.disable(ports, act(), address=mailbox_address("old@example.com"))
    reply = alice.post("getlistmail")
    assert reply["boxes"] == [
        {"email": "new@example.com", "quota": 2147483647, "enabled": True},
        {"email": "old@example.com", "quota": 0, "enabled": False},
    ]
    assert [type(value) for value in reply["boxes"][1].values()] == [str, int, bool]
    assert list(reply) == ["error", "mess", "code", "message", "data", "boxes"]
    assert list(reply["boxes"][0]) == ["email", "quota", "enabled"]
