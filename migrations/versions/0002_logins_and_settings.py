"""Logins that go on, API keys, and SMTP settings; names and addresses of panel users without regard to letter case."""

import sqlalchemy as sa
from alembic import op

from migrations.columns import (
    KEYED,
    STRICT,
    check,
    drop_index,
    flag,
    index,
    instant,
    key,
    number,
    only_key,
    parent,
    primary,
    sealed,
    unique,
    words,
)

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _fold_names()
    _logins()
    _settings()
    _tests()
    op.create_table(
        "installation_secret",
        words("name"),
        sealed("content"),
        primary("installation_secret", "name"),
        **KEYED,
    )


def _fold_names() -> None:
    for column in ("folded_name", "folded_email"):
        op.add_column("panel_user", words(column, null=True))
        index("panel_user", column)
    user = sa.table("panel_user", *map(sa.column, ("id", "name", "email", "folded_name", "folded_email")))
    # By Python, as for users to come: SQLite lowers ASCII alone.
    rows = op.get_bind().execute(sa.select(user.c.id, user.c.name, user.c.email)).all()
    for number_, name, email in rows:
        folded = {"folded_name": name.lower(), "folded_email": email and email.lower()}
        op.execute(sa.update(user).where(user.c.id == number_).values(**folded))


def _logins() -> None:
    op.create_table(
        "login_session",
        key("id"),
        key("user_id"),
        words("kind"),
        words("digest"),
        words("name", null=True),
        instant("created_at"),
        instant("expires_at"),
        primary("login_session", "id"),
        parent("login_session", "user_id", "panel_user"),
        unique("login_session", "name"),
        check("login_session", "kind", "kind IN ('webitel', 'dbvisit', 'onlyoffice')"),
        **STRICT,
    )
    for column in ("user_id", "digest", "expires_at"):
        index("login_session", column)
    op.create_table(
        "api_key",
        key("id"),
        key("user_id"),
        words("digest"),
        instant("created_at"),
        instant("expires_at", null=True),
        primary("api_key", "id"),
        parent("api_key", "user_id", "panel_user"),
        unique("api_key", "digest"),
        **STRICT,
    )
    index("api_key", "user_id")


def _settings() -> None:
    op.create_table(
        "smtp_profile",
        words("scope"),
        key("domain_id", null=True),
        words("host"),
        number("port"),
        words("security"),
        number("verify"),
        words("username"),
        sealed("password", null=True),
        words("mechanism", null=True),
        words("sender"),
        words("sender_name"),
        words("ehlo_name"),
        primary("smtp_profile", "scope"),
        parent("smtp_profile", "domain_id", "domain"),
        unique("smtp_profile", "domain_id"),
        check("smtp_profile", "security", "security IN ('plain', 'opportunistic', 'starttls', 'tls')"),
        check("smtp_profile", "port", "port BETWEEN 0 AND 65535"),
        flag("smtp_profile", "verify"),
        **KEYED,
    )
    op.create_table(
        "settings_document",
        only_key("domain_id"),
        words("public_id"),
        sealed("content"),
        primary("settings_document", "domain_id"),
        parent("settings_document", "domain_id", "domain"),
        unique("settings_document", "public_id"),
        **STRICT,
    )


def _tests() -> None:
    op.create_table(
        "smtp_test",
        only_key("id"),
        words("job"),
        words("status"),
        number("percents"),
        words("error"),
        number("completed"),
        instant("progressed_at"),
        primary("smtp_test", "id"),
        check("smtp_test", "one_row", "id = 1"),
        check("smtp_test", "percents", "percents BETWEEN 0 AND 100"),
        flag("smtp_test", "completed"),
        **STRICT,
    )
    op.create_table(
        "smtp_test_call",
        key("id"),
        key("user_id"),
        instant("at"),
        primary("smtp_test_call", "id"),
        parent("smtp_test_call", "user_id", "panel_user"),
        **STRICT,
    )
    index("smtp_test_call", "user_id", "at")
    index("smtp_test_call", "at")


def downgrade() -> None:
    for table in (
        "installation_secret",
        "smtp_test_call",
        "smtp_test",
        "settings_document",
        "smtp_profile",
        "api_key",
        "login_session",
    ):
        op.drop_table(table)
    for column in ("folded_name", "folded_email"):
        drop_index("panel_user", column)
        op.drop_column("panel_user", column)
