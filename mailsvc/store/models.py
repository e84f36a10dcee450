"""The tables. Times are UTC; names and addresses are canonical (mailsvc.core.addresses) and CHECKed to be lower case.

Other programs read views, never these tables: mailsvc/store/views.py.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mailsvc.store.types import Flag, Instant, Key, Words

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name of its own, so that a later migration can name it."""

STRICT = {"sqlite_strict": True}
KEYED = {"sqlite_strict": True, "sqlite_with_rowid": False}
"""Tables that are found by their own key alone are stored in its order."""


class Base(DeclarativeBase):
    """Typed models on one metadata."""

    metadata = sa.MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Words, bool: Flag, datetime: Instant, bytes: sa.LargeBinary}  # noqa: RUF012


def _flag(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} IN (0, 1)", name)


def _lower(name: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{name} = lower({name})", f"{name}_lower")


def _parent(column: str, *, on_delete: str = "CASCADE") -> Any:
    return sa.ForeignKey(column, ondelete=on_delete)


class PanelUser(Base):
    """Who may call.

    ``mailbox_count`` is kept by the transactions that add, remove or give away mailboxes and domains.
    """

    __tablename__ = "panel_user"
    __table_args__ = (
        sa.CheckConstraint("role IN ('user', 'root')", "role"),
        sa.CheckConstraint("language IN ('en', 'ru')", "language"),
        sa.CheckConstraint("mailbox_limit >= 0", "mailbox_limit"),
        sa.CheckConstraint("mailbox_count >= 0", "mailbox_count"),
        _flag("active"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    password_hash: Mapped[str]
    role: Mapped[str]
    language: Mapped[str | None]
    active: Mapped[bool]
    mailbox_limit: Mapped[int | None]
    mailbox_count: Mapped[int] = mapped_column(server_default=sa.text("0"))
    created_at: Mapped[datetime]


class Domain(Base):
    """A mail domain with its one owner. ``zone_serial`` counts the changes of its DNS zone."""

    __tablename__ = "domain"
    __table_args__ = (_lower("name"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    owner_id: Mapped[int] = mapped_column(Key, _parent("panel_user.id", on_delete="RESTRICT"), index=True)
    zone_serial: Mapped[int] = mapped_column(server_default=sa.text("1"))
    created_at: Mapped[datetime]


class Mailbox(Base):
    """A mailbox. ``incarnation`` is the unguessable name of its home: a mailbox that is deleted and made again never
    sees its predecessor's mail. ``quota_mib`` 0 is unlimited. A disabled mailbox receives but lets nobody in.
    """

    __tablename__ = "mailbox"
    __table_args__ = (
        _lower("address"),
        sa.CheckConstraint("quota_mib BETWEEN 0 AND 2147483647", "quota_mib"),
        _flag("enabled"),
        sa.Index(None, "domain_id", "address"),
        STRICT,
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    address: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    quota_mib: Mapped[int]
    enabled: Mapped[bool]
    incarnation: Mapped[str]
    created_at: Mapped[datetime]


class Forward(Base):
    """A forward rule. ``keep_local``: deliver to the mailbox of that address too, while there is one."""

    __tablename__ = "forward"
    __table_args__ = (_lower("source"), _flag("keep_local"), sa.Index(None, "domain_id", "source"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    source: Mapped[str] = mapped_column(unique=True)
    keep_local: Mapped[bool]
    created_at: Mapped[datetime]


class ForwardTarget(Base):
    """Where a forward goes, in the order in which the targets were given."""

    __tablename__ = "forward_target"
    __table_args__ = (_lower("target"), KEYED)

    forward_id: Mapped[int] = mapped_column(Key, _parent("forward.id"), primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]


class DkimKey(Base):
    """A signing key. ``private_key`` is sealed (mailsvc.vault.seals); ``public_key`` is the base64 that DNS shows."""

    __tablename__ = "dkim_key"
    __table_args__ = (sa.UniqueConstraint("domain_id", "selector"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    selector: Mapped[str]
    algorithm: Mapped[str]
    private_key: Mapped[bytes]
    public_key: Mapped[str]
    created_at: Mapped[datetime]


class DnsRecord(Base):
    """A TXT record that mailsvc publishes for a domain.

    ``enabled`` is the state last acknowledged to a caller; ``settled`` is 0 while the world may differ from it (a
    change is under way, or was cut short); ``busy_until`` is the lease of whoever is at work on it. ``content`` is as
    a zone file writes it. ``parent`` is the empty non-terminal above the name, which a name server must know of (RFC
    8020).
    """

    __tablename__ = "dns_record"
    __table_args__ = (
        sa.UniqueConstraint("domain_id", "purpose", "name"),
        sa.CheckConstraint("purpose IN ('spf', 'dkim')", "purpose"),
        _flag("enabled"),
        _flag("settled"),
        sa.Index(None, "name"),
        sa.Index(None, "parent"),
        sa.Index(None, "settled", "id"),
        STRICT,
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    domain_id: Mapped[int] = mapped_column(Key, _parent("domain.id"))
    purpose: Mapped[str]
    name: Mapped[str]
    parent: Mapped[str | None]
    content: Mapped[str]
    ttl: Mapped[int]
    enabled: Mapped[bool]
    settled: Mapped[bool]
    busy_until: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what to what, and what came of it. Never a secret; ``object`` only once it has passed its form's
    check."""

    __tablename__ = "audit_entry"
    __table_args__ = (STRICT,)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    request_id: Mapped[str | None]
    dialect: Mapped[str]
    operation: Mapped[str]
    caller: Mapped[str]
    acting: Mapped[str]
    object: Mapped[str]
    outcome: Mapped[str]
    code: Mapped[int]


class LoginFailure(Base):
    """A failed sign-in of the last minute. ``pair`` is a digest of user name and client address: people type passwords
    into the name field, and names of failed attempts are nobody's business.
    """

    __tablename__ = "login_failure"
    __table_args__ = (sa.Index(None, "pair", "at"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    pair: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)


class LoginBlock(Base):
    """A pair of user name and client address that may not sign in before ``until``."""

    __tablename__ = "login_block"
    __table_args__ = (KEYED,)

    pair: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime] = mapped_column(index=True)


class Server(Base):
    """The one row of facts about this server that views need; written at every start from the settings."""

    __tablename__ = "server"
    __table_args__ = (sa.CheckConstraint("id = 1", "one_row"), STRICT)

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    hostname: Mapped[str]
