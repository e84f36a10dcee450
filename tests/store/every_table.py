"""One row for every table of the present schema, in plain SQL: what a migration must carry over."""

from sqlalchemy import Connection, text

ROWS: dict[str, dict[str, object]] = {
    "panel_user": {
        "id": 1,
        "name": "alice",
        "email": "alice@elsewhere.example",
        "password_hash": "{ARGON2ID}x",
        "role": "user",
        "language": "ru",
        "active": 1,
        "mailbox_limit": 10,
        "mailbox_count": 1,
        "created_at": 1_700_000_000_000,
    },
    "domain": {"id": 2, "name": "example.com", "owner_id": 1, "zone_serial": 7, "created_at": 1_700_000_000_001},
    "server": {"id": 1, "hostname": "mail.example.com"},
    "mailbox": {
        "id": 3,
        "domain_id": 2,
        "address": "info@example.com",
        "password_hash": "{ARGON2ID}y",
        "quota_mib": 2_147_483_647,
        "enabled": 1,
        "incarnation": "0f" * 16,
        "created_at": 1_700_000_000_002,
    },
    "forward": {
        "id": 4,
        "domain_id": 2,
        "source": "sales@example.com",
        "keep_local": 1,
        "created_at": 1_700_000_000_003,
    },
    "forward_target": {"forward_id": 4, "target": "a@b.example", "position": 1},
    "dkim_key": {
        "id": 5,
        "domain_id": 2,
        "selector": "mail",
        "algorithm": "rsa",
        "private_key": b"\x00sealed\xff",
        "public_key": "MIIB",
        "created_at": 1_700_000_000_004,
    },
    "dns_record": {
        "id": 6,
        "domain_id": 2,
        "purpose": "dkim",
        "name": "mail._domainkey.example.com",
        "parent": "_domainkey.example.com",
        "content": '"v=DKIM1; k=rsa; p=MIIB"',
        "ttl": 300,
        "enabled": 1,
        "settled": 0,
        "busy_until": 1_700_000_000_005,
    },
    "audit_entry": {
        "id": 7,
        "at": 1_700_000_000_006,
        "request_id": "r",
        "dialect": "brainycp",
        "operation": "addmail",
        "caller": "root",
        "acting": "alice",
        "object": "info@example.com",
        "outcome": "done",
        "code": 0,
    },
    "login_failure": {"id": 8, "pair": "aa" * 32, "at": 1_700_000_000_007},
    "login_block": {"pair": "bb" * 32, "until": 1_700_000_000_008},
}
"""By table, each after those it refers to."""


def insert(connection: Connection, table: str, row: dict[str, object]) -> None:
    """Insert ``row`` as SQL would, past all types of ours."""
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def fill(connection: Connection) -> None:
    """Insert all of ROWS."""
    for table, row in ROWS.items():
        insert(connection, table, row)
