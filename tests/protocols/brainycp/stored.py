"""What the database holds, as tests ask for it: straight from the tables and the mail servers' views."""

from collections.abc import Iterable
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import text

from mailsvc.core.addresses import domain_name, mail_address
from mailsvc.services.ports import Ports

Row = tuple[Any, ...]

STATE = ("panel_user", "domain", "mailbox", "forward", "forward_target", "dkim_key", "dns_record")
"""The tables that operations change, without the trail and the throttle."""

ORPHANS = (
    ("mailbox", "domain_id", "domain"),
    ("forward", "domain_id", "domain"),
    ("forward_target", "forward_id", "forward"),
    ("dkim_key", "domain_id", "domain"),
    ("dns_record", "domain_id", "domain"),
    ("domain", "owner_id", "panel_user"),
)


def rows(ports: Ports, statement: str, **values: object) -> list[Row]:
    """What a statement finds."""
    with ports.store.reading() as unit:
        return [tuple(row) for row in unit.execute(text(statement), values)]


def change(ports: Ports, statement: str, **values: object) -> None:
    """Change the database behind the service's back."""
    with ports.store.writing() as unit:
        unit.execute(text(statement), values)


def everything(ports: Ports) -> dict[str, list[Row]]:
    """All rows of the tables of STATE, for a comparison of before and after."""
    return {table: sorted(rows(ports, f"SELECT * FROM {table}"), key=repr) for table in STATE}


def mailboxes(ports: Ports) -> list[str]:
    """The addresses of all mailboxes, in order."""
    return [address for (address,) in rows(ports, "SELECT address FROM mailbox ORDER BY address")]


def opens(ports: Ports, address: str, password: str) -> bool:
    """Whether a mail server that reads the view would let the owner of the mailbox in."""
    ((stored,),) = rows(ports, "SELECT password FROM dovecot_user WHERE address = :address", address=address)
    assert stored.startswith("{ARGON2ID}$argon2id$")
    try:
        return PasswordHasher().verify(stored.removeprefix("{ARGON2ID}"), password)
    except VerifyMismatchError:
        return False


def forwards(ports: Ports) -> dict[str, tuple[int, list[str]]]:
    """Local copy and targets of every rule, by source."""
    found = rows(
        ports,
        "SELECT source, keep_local, target FROM forward LEFT JOIN forward_target ON forward_id = id ORDER BY position",
    )
    return {source: (keep, [target for other, _, target in found if other == source]) for source, keep, _ in found}


def served(ports: Ports, purpose: str) -> list[str]:
    """The contents of the TXT records that the name server serves for ``spf`` or ``dkim``."""
    found = rows(
        ports,
        "SELECT p.content FROM pdns_record p JOIN dns_record r ON r.name = p.name AND r.content = p.content"
        " WHERE p.type = 'TXT' AND r.purpose = :purpose",
        purpose=purpose,
    )
    return [content for (content,) in found]


def broken_promises(ports: Ports) -> list[str]:
    """What is wrong with the database; nothing ever should be."""
    return [
        *(f"a forward without targets: {source}" for source, (_, to) in forwards(ports).items() if None in to),
        *(f"more than 100 targets: {source}" for source, (_, to) in forwards(ports).items() if len(to) > 100),
        *(f"a loop: {source}" for source in _loops(ports)),
        *(f"not canonical: {name}" for name in _not_canonical(ports)),
        *(f"an orphan in {table}" for table, column, parent in ORPHANS if _orphans(ports, table, column, parent)),
        *(f"mailbox_count of {name}" for name in _miscounted(ports)),
        *(f"in another domain: {address}" for address in _misplaced(ports)),
        *(f"unsettled: {name}" for (name,) in rows(ports, "SELECT name FROM dns_record WHERE settled = 0")),
    ]


def _loops(ports: Ports) -> Iterable[str]:
    onward = {source: targets for source, (_, targets) in forwards(ports).items()}
    for source in onward:
        reached: set[str] = set()
        level = set(onward[source])
        while level - reached:
            reached |= level
            level = {target for address in level for target in onward.get(address, ())}
        if source in reached:
            yield source


def _not_canonical(ports: Ports) -> Iterable[str]:
    addresses = rows(
        ports, "SELECT address FROM mailbox UNION SELECT source FROM forward UNION SELECT target FROM forward_target"
    )
    yield from (address for (address,) in addresses if str(mail_address(address)) != address)
    yield from (name for (name,) in rows(ports, "SELECT name FROM domain") if domain_name(name) != name)


def _orphans(ports: Ports, table: str, column: str, parent: str) -> list[Row]:
    return rows(ports, f"SELECT 1 FROM {table} c LEFT JOIN {parent} p ON p.id = c.{column} WHERE p.id IS NULL")


def _miscounted(ports: Ports) -> list[str]:
    found = rows(
        ports,
        "SELECT u.name FROM panel_user u LEFT JOIN domain d ON d.owner_id = u.id LEFT JOIN mailbox m"
        " ON m.domain_id = d.id GROUP BY u.name, u.mailbox_count HAVING count(m.id) <> u.mailbox_count",
    )
    return [name for (name,) in found]


def _misplaced(ports: Ports) -> list[str]:
    found = rows(
        ports,
        "SELECT address, name FROM mailbox m JOIN domain d ON d.id = m.domain_id"
        " UNION SELECT source, name FROM forward f JOIN domain d ON d.id = f.domain_id",
    )
    return [address for address, name in found if address.partition("@")[2] != name]
