"""The mail host: removed mailboxes, catch-alls, rotation of DKIM keys, and the fixed names of a domain's zone."""

import sqlalchemy as sa
from alembic import op

from migrations import views
from migrations.columns import (
    KEYED,
    STRICT,
    check,
    flag,
    index,
    instant,
    key,
    lower,
    number,
    only_key,
    parent,
    primary,
    unique,
    words,
)

revision = "0003"
down_revision = "0002"

LABELS = (
    "_dmarc",
    "autoconfig",
    "_tcp",
    "_submissions._tcp",
    "_submission._tcp",
    "_imaps._tcp",
    "_imap._tcp",
    "_pop3s._tcp",
)


def upgrade() -> None:
    views.drop(op.get_bind(), "0001")
    _mail()
    _dns()
    _names_of_the_domains_that_are_there()
    views.create(op.get_bind(), "0003")


def _mail() -> None:
    op.create_table(
        "removed_mailbox",
        key("id"),
        key("domain_id", null=True),
        key("owner_id", null=True),
        words("address"),
        words("password_hash"),
        number("quota_mib"),
        number("enabled"),
        words("incarnation"),
        instant("created_at"),
        instant("removed_at"),
        number("purging"),
        primary("removed_mailbox", "id"),
        unique("removed_mailbox", "incarnation"),
        parent("removed_mailbox", "domain_id", "domain", "SET NULL"),
        parent("removed_mailbox", "owner_id", "panel_user", "SET NULL"),
        lower("removed_mailbox", "address"),
        flag("removed_mailbox", "enabled"),
        flag("removed_mailbox", "purging"),
        **STRICT,
    )
    for columns in (("address", "removed_at"), ("domain_id",), ("owner_id",), ("removed_at",)):
        index("removed_mailbox", *columns)
    op.create_table(
        "catch_all",
        only_key("domain_id"),
        words("target"),
        words("target_domain"),
        primary("catch_all", "domain_id"),
        parent("catch_all", "domain_id", "domain"),
        lower("catch_all", "target"),
        **STRICT,
    )


def _dns() -> None:
    op.create_table(
        "dkim_rotation",
        only_key("key_id"),
        words("stage"),
        instant("due_at"),
        primary("dkim_rotation", "key_id"),
        parent("dkim_rotation", "key_id", "dkim_key"),
        check("dkim_rotation", "stage", "stage IN ('coming', 'going')"),
        **STRICT,
    )
    op.create_table(
        "zone_name",
        words("name"),
        key("domain_id"),
        words("label"),
        primary("zone_name", "name"),
        parent("zone_name", "domain_id", "domain"),
        **KEYED,
    )
    index("zone_name", "domain_id")


def _names_of_the_domains_that_are_there() -> None:
    insert = sa.text(
        "INSERT INTO zone_name (name, domain_id, label)"
        " SELECT CAST(:label AS TEXT) || '.' || name, id, CAST(:label AS TEXT) FROM domain"
    )
    op.get_bind().execute(insert, [{"label": label} for label in LABELS])
    _zones_have_changed()


def _zones_have_changed() -> None:
    op.execute("UPDATE domain SET zone_serial = zone_serial + 1")


def downgrade() -> None:
    views.drop(op.get_bind(), "0003")
    for table in ("zone_name", "dkim_rotation", "catch_all", "removed_mailbox"):
        op.drop_table(table)
    _zones_have_changed()
    views.create(op.get_bind(), "0001")
