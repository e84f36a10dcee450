"""The audit trail: one entry for every call of the eight writing operations."""

from urllib.parse import parse_qsl

import pytest

from mailsvc.services.ports import Ports
from tests.application import BOB_SECRET, ROOT_SECRET
from tests.protocols.brainycp.panel import LISTS, ON_SQLITE, SWITCHES, WRITING, Panel, says
from tests.protocols.brainycp.stored import change, rows

OF_ROOT = f"login=root&pass={ROOT_SECRET}&panel_user=alice"
OF_BOB = f"login=bob&pass={BOB_SECRET}"
BOX = "email=New@Example.com&password=Canary-1&quota=0"
FORWARD = "source=S @ example.com&target=t@b.example"
DOMAIN = "domain=Example.COM."

# In this order: operation and fields; then caller, acting, object, code
CALLS: list[tuple[str, str, str, str, str, int]] = [
    ("addmail", BOX, "alice", "alice", "new@example.com", 0),
    ("addmail", f"{BOX}&{OF_ROOT}", "root", "alice", "new@example.com", 1),
    ("addmail", f"{BOX}&quota=Canary-2", "alice", "alice", "", 2),
    ("addmail", f"{BOX}&email=Canary-3", "alice", "alice", "", 2),
    ("addmail", f"{BOX}&{OF_BOB}", "bob", "bob", "new@example.com", 4),
    ("addmail", f"{BOX}&panel_user=bob", "alice", "bob", "", 1000),
    ("addmail", f"{BOX}&panel_user=nobody", "alice", "nobody", "", 1000),
    ("addmail", f"{BOX}&{OF_ROOT}&panel_user=nobody", "root", "nobody", "", 1001),
    ("addmail", f"{BOX}&module=", "alice", "alice", "", 2),
    ("delmail", "email=NEW@example.com", "alice", "alice", "new@example.com", 0),
    ("delmail", f"email=new@example.com&password=Canary-4&{OF_ROOT}", "root", "alice", "new@example.com", 1),
    ("delmail", "", "alice", "alice", "", 2),
    ("addforward", f"{FORWARD}&{OF_ROOT}", "root", "alice", "s@example.com", 0),
    ("addforward", f"{FORWARD}&target=s@example.com", "alice", "alice", "s@example.com", 1),
    ("addforward", f"{FORWARD}&target=|", "alice", "alice", "", 2),
    ("delforward", f"{FORWARD}&target=x@b.example", "alice", "alice", "s@example.com", 1),
    ("delforward", FORWARD, "alice", "alice", "s@example.com", 0),
    ("delforward", "source=", "alice", "alice", "", 2),
    *((name, "", "alice", "alice", "", 1) for name in SWITCHES),
    *((name, f"{DOMAIN}&{OF_BOB}", "bob", "bob", "example.com", 2) for name in SWITCHES),
    *((name, f"{DOMAIN}&{OF_ROOT}", "root", "alice", "example.com", code)
      for name, code in zip(SWITCHES, (0, 0, 0, 0), strict=True)),
    ("onspf", DOMAIN, "alice", "alice", "example.com", 0),
    ("onspf", DOMAIN, "alice", "alice", "example.com", 3),
    ("offdkim", DOMAIN, "alice", "alice", "example.com", 3),
    *((name, "panel_user=bob", "alice", "bob", "", 1000) for name in WRITING),
]  # fmt: skip

TRAIL = "SELECT dialect, caller, acting, operation, object, code FROM audit_entry WHERE id > :last ORDER BY id"


def test_every_call_leaves_one_entry(alice: Panel, ports: Ports) -> None:
    """Checklist 20: caller, acting user, operation, object, code; and nothing secret, in whatever field it was sent."""
    ((last,),) = rows(ports, "SELECT max(id) FROM audit_entry")
    for operation, fields, _, _, _, code in CALLS:
        response = alice.send([(operation, "1"), *parse_qsl(fields, keep_blank_values=True)])
        assert says(response)[0] == code, (operation, fields)
    assert rows(ports, TRAIL, last=last) == [
        ("brainycp", caller, acting, operation, subject, code) for operation, _, caller, acting, subject, code in CALLS
    ]
    assert "Canary" not in repr(rows(ports, "SELECT * FROM audit_entry"))


@ON_SQLITE
def test_the_limit_of_a_plan_leaves_an_entry_too(alice: Panel, ports: Ports) -> None:
    change(ports, "UPDATE panel_user SET mailbox_limit = 1 WHERE name = 'alice'")
    ((last,),) = rows(ports, "SELECT max(id) FROM audit_entry")
    assert alice.says("addmail", email="new@example.com", password="Box-1", quota="0")[0] == 3
    assert rows(ports, TRAIL, last=last) == [("brainycp", "alice", "alice", "addmail", "new@example.com", 3)]


@ON_SQLITE
def test_what_only_reads_leaves_none(alice: Panel, ports: Ports) -> None:
    before = rows(ports, "SELECT count(*) FROM audit_entry")
    for operation in (*LISTS, "unknown", ""):
        alice.send([("subdo", operation)])
    assert rows(ports, "SELECT count(*) FROM audit_entry") == before


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b\n", "\ufffd"])
@ON_SQLITE
def test_a_strange_name_is_kept_short_and_clean(alice: Panel, ports: Ports, name: str) -> None:
    assert alice.says("addmail", panel_user=name)[0] == 1000
    ((acting,),) = rows(ports, "SELECT acting FROM audit_entry ORDER BY id DESC LIMIT 1")
    assert acting == name.translate(dict.fromkeys(map(ord, "\0\n\ufffd")))[:64]
