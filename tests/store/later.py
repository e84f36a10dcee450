"""A mailsvc of the future, with one migration more than this one."""

import shutil
from pathlib import Path

import pytest

from mailsvc.store import schema
from migrations import views

LATER = f"{int(schema.HEAD) + 1:04}"

_VIEWS = max(path.stem for path in views.HERE.glob("[0-9]*.sql"))

REBUILDS_DOMAIN = f"""
import sqlalchemy as sa
from alembic import op
from migrations import views

revision = "{LATER}"
down_revision = "{schema.HEAD}"


def upgrade() -> None:
    _rebuild("2")


def downgrade() -> None:
    _rebuild("1")


def _rebuild(default: str) -> None:
    views.drop(op.get_bind(), "{_VIEWS}")
    with op.batch_alter_table("domain", table_kwargs={{"sqlite_strict": True}}) as batch:
        batch.alter_column("zone_serial", server_default=sa.text(default))
    views.create(op.get_bind(), "{_VIEWS}")
"""
"""A later migration that SQLite can carry out only by dropping a table that others refer to, and making it again."""


def add_later_revision(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test, let the newest revision be followed by LATER."""
    later = directory / "migrations"
    shutil.copytree(schema.MIGRATIONS, later)
    (later / "versions" / f"{LATER}_rebuild.py").write_text(REBUILDS_DOMAIN)
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "KNOWN", [*schema.KNOWN, LATER])
    monkeypatch.setattr(schema, "HEAD", LATER)
