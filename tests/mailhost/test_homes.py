"""Where mail lies: one rule, told to other programs in SQL as well."""

from pathlib import Path

import sqlalchemy as sa

from mailsvc.mailhost import homes
from mailsvc.services.ports import Ports

ROOT = Path("/var/vmail")


def test_a_home_is_named_by_the_incarnation() -> None:
    assert homes.home(ROOT, "0f" * 16) == Path("/var/vmail/0f") / ("0f" * 16)
    assert homes.maildir(ROOT, "0f" * 16) == Path("/var/vmail/0f") / ("0f" * 16) / "Maildir"


def test_sql_says_the_same_of_every_mailbox(ports: Ports) -> None:
    with ports.store.reading() as unit:
        rule = f"'{ROOT}/' || substr(incarnation, 1, 2) || '/' || incarnation"
        [(incarnation, told)] = unit.execute(sa.text(f"SELECT incarnation, {rule} FROM dovecot_user")).all()
    assert homes.INCARNATION.fullmatch(incarnation)
    assert Path(told) == homes.home(ROOT, incarnation)
