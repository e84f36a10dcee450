"""The store: panel users, domains, mailboxes, forwards, DKIM keys, DNS records, audit trail, login throttle, views."""

import sqlalchemy as sa
from alembic import op

from migrations import views

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
STRICT = {"sqlite_strict": True}
KEYED = {"sqlite_strict": True, "sqlite_with_rowid": False}


def words(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, WORDS, nullable=null)


def number(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=null, server_default=default and sa.text(default))


def instant(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, KEY, nullable=null)


def key(name: str) -> sa.Column[int]:
    return sa.Column(name, KEY, nullable=False)


def primary(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def parent(table: str, column: str, referred: str, on_delete: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{referred}")
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=name, ondelete=on_delete)


def unique(table: str, *columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns, name=op.f(f"uq_{table}_{'_'.join(columns)}"))


def check(table: str, name: str, rule: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}"))


def flag(table: str, name: str) -> sa.CheckConstraint:
    return check(table, name, f"{name} IN (0, 1)")


def lower(table: str, name: str) -> sa.CheckConstraint:
    return check(table, f"{name}_lower", f"{name} = lower({name})")


def index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


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
        sa.Column("id", KEY, nullable=False, autoincrement=False),
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
        parent("mailbox", "domain_id", "domain", "CASCADE"),
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
        parent("forward", "domain_id", "domain", "CASCADE"),
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
        parent("forward_target", "forward_id", "forward", "CASCADE"),
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
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        words("public_key"),
        instant("created_at"),
        primary("dkim_key", "id"),
        unique("dkim_key", "domain_id", "selector"),
        parent("dkim_key", "domain_id", "domain", "CASCADE"),
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
        parent("dns_record", "domain_id", "domain", "CASCADE"),
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
