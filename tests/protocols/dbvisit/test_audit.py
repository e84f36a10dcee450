"""The audit trail of the settings: caller, path, names of the changed members, outcome; never a value."""

from typing import Any

import sqlalchemy as sa

from mailsvc.services.ports import Ports
from tests.protocols.dbvisit.calling import Program

CALLS: list[tuple[str, dict[str, Any], tuple[str, str, int]]] = [
    ("edit", {"smtp_port": 25, "password": "Canary-1"}, ("password,smtp_port", "done", 200)),
    ("edit", {}, ("", "done", 200)),
    ("edit", {"smtp_port": "Canary-2", "x": "Canary-3"}, ("smtp_port", "BadInput", 400)),
    ("test", {"to": "Canary-4"}, ("to", "BadInput", 400)),
    ("test", {"to": "a@b.example"}, ("to", "NothingStored", 400)),
    ("clear", {"password": "Canary-5"}, ("", "done", 200)),
]


def trail(ports: Ports, after: int) -> list[tuple[Any, ...]]:
    columns = "dialect, operation, caller, acting, object, outcome, code"
    with ports.store.reading() as unit:
        found = unit.execute(sa.text(f"SELECT {columns} FROM audit_entry WHERE id > {after} ORDER BY id"))
        return [tuple(row) for row in found]


def last(ports: Ports) -> int:
    with ports.store.reading() as unit:
        return int(unit.scalar(sa.text("SELECT max(id) FROM audit_entry")) or 0)


def test_every_call_that_writes_leaves_one_entry(root: Program, alice: Program, ports: Ports) -> None:
    before = last(ports)
    for call, params, (_, _, status) in CALLS:
        assert root.post(call, params).status_code == status
    assert root.send("/api/email-settings/edit/", "{").status_code == 400
    assert alice.post("edit", {"smtp_port": 1}).status_code == 403
    assert trail(ports, before) == [
        *(("dbvisit", f"/email-settings/{call}", "root", "root", *entry) for call, _, entry in CALLS),
        ("dbvisit", "/api/email-settings/edit", "root", "root", "", "Unfit", 400),
        ("dbvisit", "/email-settings/edit", "alice", "alice", "", "NotYours", 403),
    ]
    assert "Canary" not in repr(trail(ports, 0))


def test_what_only_reads_leaves_none(root: Program, alice: Program, anonymous: Program, ports: Ports) -> None:
    before = last(ports)
    for program in (root, alice, anonymous):
        program.post("show")
    anonymous.post("edit", {"smtp_port": 1})
    assert trail(ports, before) == []
