"""External mail accounts: the accounts, what has been collected from them, each user's default, the installation."""

import sqlalchemy as sa
from alembic import op

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

revision = "0004"
down_revision = "0003"


def digest(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def upgrade() -> None:
    op.create_table(
        "installation",
        only_key("id"),
        words("uuid"),
        key("accounts_made"),
        primary("installation", "id"),
        check("installation", "one_row", "id = 1"),
        **STRICT,
    )
    _accounts()
    _collected()


def _accounts() -> None:
    table = "external_account"
    op.create_table(
        table,
        only_key("id"),
        key("user_id"),
        words("email"),
        words("name"),
        words("protocol"),
        words("server"),
        key("port"),
        words("login"),
        sealed("password"),
        number("encryption"),
        number("auth"),
        words("smtp_server"),
        key("smtp_port"),
        words("smtp_login"),
        sealed("smtp_password"),
        number("smtp_encryption"),
        number("smtp_auth"),
        instant("begin_at"),
        words("deliver_to"),
        number("enabled"),
        number("auth_error"),
        number("quota_error"),
        instant("failing_since", null=True),
        instant("created_at"),
        number("revision"),
        instant("visited_at", null=True),
        instant("next_visit_at"),
        number("collected"),
        words("last_error", null=True),
        words("lease_holder", null=True),
        instant("lease_until", null=True),
        primary(table, "id"),
        unique(table, "user_id", "email"),
        parent(table, "user_id", "panel_user"),
        lower(table, "email"),
        check(table, "protocol", "protocol IN ('imap', 'pop3')"),
        check(table, "encryption", "encryption IN (0, 1, 2)"),
        check(table, "smtp_encryption", "smtp_encryption IN (0, 1, 2)"),
        check(table, "auth", "auth IN (0, 1, 4)"),
        check(table, "smtp_auth", "smtp_auth IN (0, 1, 4)"),
        flag(table, "enabled"),
        flag(table, "auth_error"),
        flag(table, "quota_error"),
        **STRICT,
    )
    index(table, "enabled", "next_visit_at")
    index(table, "lease_holder")
    op.create_table(
        "default_account",
        only_key("user_id"),
        key("account_id"),
        primary("default_account", "user_id"),
        parent("default_account", "user_id", "panel_user"),
        parent("default_account", "account_id", table),
        **KEYED,
    )
    index("default_account", "account_id")


def _collected() -> None:
    op.create_table(
        "collected_source",
        key("id"),
        key("account_id"),
        digest("identity"),
        key("scanned_uid"),
        key("recorded_uid"),
        instant("scanned_begin", null=True),
        primary("collected_source", "id"),
        unique("collected_source", "account_id", "identity"),
        parent("collected_source", "account_id", "external_account"),
        **STRICT,
    )
    op.create_table(
        "collected_message",
        key("source_id"),
        digest("key"),
        key("uid", null=True),
        digest("content", null=True),
        words("outcome"),
        instant("dated_at", null=True),
        primary("collected_message", "source_id", "key"),
        parent("collected_message", "source_id", "collected_source"),
        check(
            "collected_message",
            "outcome",
            "outcome IN ('delivered', 'known', 'own', 'refused', 'too_large', 'too_old')",
        ),
        **KEYED,
    )
    index("collected_message", "content", "source_id")


def downgrade() -> None:
    for table in ("collected_message", "collected_source", "default_account", "external_account", "installation"):
        op.drop_table(table)
