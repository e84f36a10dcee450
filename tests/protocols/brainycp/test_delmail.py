"""delmail: removes one mailbox, and nothing else."""

import pytest

from mailsvc.services.ports import Ports
from tests.protocols.brainycp.panel import BAD_PARAMETERS, ON_SQLITE, Panel
from tests.protocols.brainycp.stored import everything, forwards, mailboxes, rows

DELETED = (0, "Mailbox successfully deleted")


def absent(address: str) -> tuple[int, str]:
    return 1, f"Error deleting mailbox: no such mailbox: {address}"


def test_the_mailbox_is_gone_for_the_mail_servers_at_once(alice: Panel, ports: Ports) -> None:
    """Checklist 15: only ``email`` is needed."""
    assert alice.says("delmail", email="Old @ Example.com") == DELETED
    for view in ("dovecot_user", "postfix_mailbox", "postfix_alias", "postfix_sender_login"):
        assert rows(ports, f"SELECT * FROM {view}") == []
    assert rows(ports, "SELECT mailbox_count FROM panel_user WHERE name = 'alice'") == [(0,)]
    assert alice.says("delmail", email="old@example.com") == absent("old@example.com")


@ON_SQLITE
@pytest.mark.parametrize("ignored", [{"password": "\0" * 300}, {"quota": "-1"}, {"password": "", "quota": "abc"}])
def test_password_and_quota_are_ignored(alice: Panel, ignored: dict[str, str]) -> None:
    """Checklist 15: though the page stars them."""
    assert alice.says("delmail", email="old@example.com", **ignored) == DELETED


def test_a_foreign_mailbox_and_an_absent_one_look_alike(alice: Panel, bob: Panel, root: Panel, ports: Ports) -> None:
    """Checklist 15."""
    before = everything(ports)
    for address in ("old@example.com", "new@example.com", "a@nowhere.test"):
        assert bob.says("delmail", email=address) == absent(address)
        assert root.says("delmail", email=address, panel_user="bob") == absent(address)
    assert alice.says("delmail", email="new@example.com") == absent("new@example.com")
    assert everything(ports) == before
    assert root.says("delmail", email="old@example.com") == DELETED


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"email": ""}, {"email": "old"}, {"email": "@example.com"}, {"email": "|old@example.com"},
        {"email": "old@example"}, {"email": '"old"@example.com'}, {"email": "old\0@example.com"},
    ],
    ids=repr,
)  # fmt: skip
def test_parameter_errors(in_vain: Panel, fields: dict[str, str]) -> None:
    assert in_vain.says("delmail", **fields) == BAD_PARAMETERS


@pytest.mark.parametrize("local", ["o'brien", "a=b", "a&b", "#a", "~a"])
def test_the_wider_set_of_local_parts_is_no_parameter_error(in_vain: Panel, local: str) -> None:
    assert in_vain.says("delmail", email=f"{local}@example.com") == absent(f"{local}@example.com")


@ON_SQLITE
def test_forwards_that_name_the_address_are_kept(alice: Panel, ports: Ports) -> None:
    """A local copy is made only while the mailbox exists."""
    alice.post("addforward", source="old@example.com", target="a@b.example", save_local="1")
    alice.post("addforward", source="sales@example.com", target="old@example.com")
    copies = "SELECT target FROM postfix_alias WHERE address = 'old@example.com' ORDER BY target"
    assert rows(ports, copies) == [("a@b.example",), ("old@example.com",)]
    assert alice.says("delmail", email="old@example.com") == DELETED
    assert forwards(ports) == {
        "old@example.com": (1, ["a@b.example"]),
        "sales@example.com": (0, ["old@example.com"]),
    }
    assert rows(ports, copies) == [("a@b.example",)]


@ON_SQLITE
def test_a_mailbox_made_again_does_not_see_its_predecessors_mail(alice: Panel, ports: Ports) -> None:
    home = "SELECT incarnation FROM dovecot_user WHERE address = 'old@example.com'"
    before = rows(ports, home)
    assert alice.says("delmail", email="old@example.com") == DELETED
    assert alice.says("addmail", email="old@example.com", password="Box-1", quota="0")[0] == 0
    assert mailboxes(ports) == ["old@example.com"]
    assert rows(ports, home) != before
