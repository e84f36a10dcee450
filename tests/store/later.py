"""A mailsvc of the future, with one migration more than the first."""

import shutil
from pathlib import Path

import pytest

from mailsvc.store import schema

LATER = "0002"

REBUILDS_DOMAIN = """
import sqlalchemy as sa
from alembic import op
from migrations import views

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _rebuild("2")


def downgrade() -> None:
    _rebuild("1")


def _rebuild(default: str) -> None:
    views.drop(op.get_bind(), "0001")
    with op.batch_alter_table("domain", table_kwargs={"sqlite_strict": True}) as batch:
        batch.alter_column("zone_serial", server_default=sa.text(default))
    views.create(op.get_bind(), "0001")
"""
"""A later migration that SQLite can carry out only by dropping a table that others refer to, and making it again."""


def add_later_revision(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this test, let revision 0001 be followed by 0002, and by no other."""
    later = directory / "migrations"
    shutil.copytree(schema.MIGRATIONS, later)
    for path in sorted((later / "versions").glob("0*.py"))[1:]:
        path.unlink()
    (later / "versions" / f"{LATER}_rebuild.py").write_text(REBUILDS_DOMAIN)
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    monkeypatch.setattr(schema, "KNOWN", ["0001", LATER])
    monkeypatch.setattr(schema, "HEAD", LATER)
