"""Who calls a use-case in these tests, and what can be found out afterwards."""

from typing import Any

import sqlalchemy as sa

from mailsvc.core.acts import Act
from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.services import mailboxes, users
from mailsvc.services.ports import Ports
from mailsvc.services.sign_in import Checked
from tests.application import act
from tests.store import catalogue


def act_of(ports: Ports, name: str) -> Act:
    """An Act of the panel user ``name`` for himself."""
    with ports.store.reading() as unit:
        return Act("test", "test", name, users.named(unit, name))


def checked(ports: Ports, name: str) -> Checked:
    """The panel user ``name``, as if he had just given his password."""
    user = act_of(ports, name).acting
    return Checked(user, found(ports, "SELECT password_hash FROM panel_user WHERE id = :id", id=user.id)[0][0])


def add_mailbox(ports: Ports, address: str, by: Act | None = None, *, quota_mib: int = 0) -> None:
    """Make a mailbox with the password ``Box-1``."""
    mailboxes.add(ports, by or act(), address=mailbox_address(address), password="Box-1", quota_mib=quota_mib)


def remove_mailbox(ports: Ports, address: str, by: Act | None = None) -> None:
    """Remove a mailbox."""
    mailboxes.remove(ports, by or act(), address=mail_address(address))


def found(ports: Ports, query: str, **values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, in its order."""
    with ports.store.reading() as unit:
        return [tuple(row) for row in unit.execute(sa.text(query), values)]


def everything(ports: Ports) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the database: equal before and after what changed nothing."""
    with ports.store.reading() as unit:
        return catalogue.rows(unit)


def counts(ports: Ports) -> dict[str, int]:
    """The number of mailboxes on file for each user. Asserts that it is the number there is."""
    kept = dict(found(ports, "SELECT name, mailbox_count FROM panel_user"))
    counted = found(
        ports,
        "SELECT u.name, (SELECT count(*) FROM mailbox m JOIN domain d ON d.id = m.domain_id WHERE d.owner_id = u.id)"
        " FROM panel_user u",
    )
    assert kept == dict(counted)
    return kept


def last_audit_entry(ports: Ports) -> tuple[Any, ...]:
    """Who did what to what for whom, and what came of it."""
    columns = "dialect, operation, caller, acting, object, outcome, code"
    return found(ports, f"SELECT {columns} FROM audit_entry ORDER BY id DESC LIMIT 1")[0]
