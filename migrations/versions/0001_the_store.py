"""The store: panel users, domains, mailboxes, forwards, DKIM keys, DNS records, audit trail, login throttle, views."""

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
    sealed,
    unique,
    words,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    _people_and_domains()
    _mail()
    _dns()
    _trail_and_throttle()
    views.create(op.get_bind(), "0001")


def _people_and_domains() -> None:
    op.create_table(
        "panel_user",
        key("id"),
        words("name"),
        words("email", null=True),
        words("password_hash"),
        words("role"),
        words("language", null=True),
        number("active"),
        number("mailbox_limit", null=True),
        number("mailbox_count", default="0"),
        instant("created_at"),
        primary("panel_user", "id"),
        unique("panel_user", "name"),
        check("panel_user", "role", "role IN ('user', 'root')"),
        check("panel_user", "language", "language IN ('en', 'ru')"),
        check("panel_user", "mailbox_limit", "mailbox_limit >= 0"),
        check("panel_user", "mailbox_count", "mailbox_count >= 0"),
        flag("panel_user", "active"),
        **STRICT,
    )
    op.create_table(
        "domain",
        key("id"),
        words("name"),
        key("owner_id"),
        number("zone_serial", default="1"),
        instant("created_at"),
        primary("domain", "id"),
        unique("domain", "name"),
        parent("domain", "owner_id", "panel_user", "RESTRICT"),
        lower("domain", "name"),
        **STRICT,
    )
    index("domain", "owner_id")
    op.create_table(
        "server",
        only_key("id"),
        words("hostname"),
        primary("server", "id"),
        check("server", "one_row", "id = 1"),
        **STRICT,
    )


def _mail() -> None:
    op.create_table(
        "mailbox",
        key("id"),
        key("domain_id"),
        words("address"),
        words("password_hash"),
        number("quota_mib"),
        number("enabled"),
        words("incarnation"),
        instant("created_at"),
        primary("mailbox", "id"),
        unique("mailbox", "address"),
        parent("mailbox", "domain_id", "domain"),
        lower("mailbox", "address"),
        check("mailbox", "quota_mib", "quota_mib BETWEEN 0 AND 2147483647"),
        flag("mailbox", "enabled"),
        **STRICT,
    )
    index("mailbox", "domain_id", "address")
    op.create_table(
        "forward",
        key("id"),
        key("domain_id"),
        words("source"),
        number("keep_local"),
        instant("created_at"),
        primary("forward", "id"),
        unique("forward", "source"),
        parent("forward", "domain_id", "domain"),
        lower("forward", "source"),
        flag("forward", "keep_local"),
        **STRICT,
    )
    index("forward", "domain_id", "source")
    op.create_table(
        "forward_target",
        key("forward_id"),
        words("target"),
        number("position"),
        primary("forward_target", "forward_id", "target"),
        parent("forward_target", "forward_id", "forward"),
        lower("forward_target", "target"),
        **KEYED,
    )


def _dns() -> None:
    op.create_table(
        "dkim_key",
        key("id"),
        key("domain_id"),
        words("selector"),
        words("algorithm"),
        sealed("private_key"),
        words("public_key"),
        instant("created_at"),
        primary("dkim_key", "id"),
        unique("dkim_key", "domain_id", "selector"),
        parent("dkim_key", "domain_id", "domain"),
        **STRICT,
    )
    op.create_table(
        "dns_record",
        key("id"),
        key("domain_id"),
        words("purpose"),
        words("name"),
        words("parent", null=True),
        words("content"),
        number("ttl"),
        number("enabled"),
        number("settled"),
        instant("busy_until", null=True),
        primary("dns_record", "id"),
        unique("dns_record", "domain_id", "purpose", "name"),
        parent("dns_record", "domain_id", "domain"),
        check("dns_record", "purpose", "purpose IN ('spf', 'dkim')"),
        flag("dns_record", "enabled"),
        flag("dns_record", "settled"),
        **STRICT,
    )
    index("dns_record", "name")
    index("dns_record", "parent")
    index("dns_record", "settled", "id")


def _trail_and_throttle() -> None:
    op.create_table(
        "audit_entry",
        key("id"),
        instant("at"),
        words("request_id", null=True),
        words("dialect"),
        words("operation"),
        words("caller"),
        words("acting"),
        words("object"),
        words("outcome"),
        number("code"),
        primary("audit_entry", "id"),
        **STRICT,
    )
    index("audit_entry", "at")
    op.create_table(
        "login_failure",
        key("id"),
        words("pair"),
        instant("at"),
        primary("login_failure", "id"),
        **STRICT,
    )
    index("login_failure", "at")
    index("login_failure", "pair", "at")
    op.create_table("login_block", words("pair"), instant("until"), primary("login_block", "pair"), **KEYED)
    index("login_block", "until")


def downgrade() -> None:
    views.drop(op.get_bind(), "0001")
    for table in (
        "login_block",
        "login_failure",
        "audit_entry",
        "dns_record",
        "dkim_key",
        "forward_target",
        "forward",
        "mailbox",
        "server",
        "domain",
        "panel_user",
    ):
        op.drop_table(table)
