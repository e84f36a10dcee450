"""A large installation, made by bulk SQL on the real schema: users, domains, mailboxes, forwards, SPF and DKIM records.

Names are made from a fixed seed, so that every run measures the same data. Mailboxes are inserted in no order of their
addresses, which leaves the indexes as a life of single additions would.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

NAMES = ("anna", "boris", "chen", "dmitri", "elena", "farid", "greta", "info", "office", "olga", "sales", "support")
HASH = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$" + "c" * 22 + "$" + "d" * 43
DKIM_TEXT = '"v=DKIM1; k=rsa; p=' + "k" * 236 + '" "' + "k" * 156 + '"'
MADE_AT = 1_750_000_000_000
DOMAINS_OF_ONE_OWNER = 10


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each. Every domain has an SPF record, every second one a DKIM record, every owner ten domains."""

    domains: int
    mailboxes: int
    forwards: int


@dataclass(frozen=True, slots=True)
class Population:
    """What is in a database: ``domains[n]`` belongs to the user with the id ``owner_of(n)``."""

    domains: list[str]
    mailboxes: list[str]
    forwards: list[str]

    @staticmethod
    def owner_of(number: int) -> int:
        """The user id of the owner of ``domains[number]``; id 1 is root."""
        return 2 + number // DOMAINS_OF_ONE_OWNER


def populate(database: Path, size: Size) -> Population:
    """Fill ``database``, which has the schema and the user root, in one transaction."""
    made = _names(size)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for pragma in ("synchronous = OFF", "cache_size = -1000000", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        _insert_owners(connection, made)
        _insert_mail(connection, made)
        _insert_records(connection, made)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


def _names(size: Size) -> Population:
    dice = random.Random(1)
    domains = [f"{dice.choice(NAMES)}-{number:x}{dice.getrandbits(16):04x}.example" for number in range(size.domains)]
    mailboxes = [
        f"{dice.choice(NAMES)}.{dice.getrandbits(24):06x}.{number // size.domains}@{domains[number % size.domains]}"
        for number in range(size.mailboxes)
    ]
    # Every other forward belongs to a mailbox, the rest are addresses that only forward.
    forwards = [
        mailboxes[number] if number % 2 else f"to.{dice.getrandbits(24):06x}@{domains[number % size.domains]}"
        for number in range(size.forwards)
    ]
    return Population(domains, mailboxes, forwards)


def _insert_owners(connection: sqlite3.Connection, made: Population) -> None:
    owners = range(2, made.owner_of(len(made.domains) - 1) + 1)
    each = len(made.mailboxes) // len(owners)
    connection.executemany(
        "INSERT INTO panel_user (id, name, password_hash, role, active, mailbox_count, created_at)"
        " VALUES (?, ?, ?, 'user', 1, ?, ?)",
        ((owner, f"owner{owner}", HASH, each, MADE_AT) for owner in owners),
    )
    connection.executemany(
        "INSERT INTO domain (id, name, owner_id, created_at) VALUES (?, ?, ?, ?)",
        ((number + 1, name, made.owner_of(number), MADE_AT) for number, name in enumerate(made.domains)),
    )


def _insert_mail(connection: sqlite3.Connection, made: Population) -> None:
    connection.executemany(
        "INSERT INTO mailbox (id, domain_id, address, password_hash, quota_mib, enabled, incarnation, created_at)"
        " VALUES (?, ?, ?, ?, 1024, 1, ?, ?)",
        (
            (number + 1, number % len(made.domains) + 1, address, HASH, f"{number:032x}", MADE_AT)
            for number, address in enumerate(made.mailboxes)
        ),
    )
    connection.executemany(
        "INSERT INTO forward (id, domain_id, source, keep_local, created_at) VALUES (?, ?, ?, ?, ?)",
        (
            (number + 1, number % len(made.domains) + 1, source, number % 4 // 2, MADE_AT)
            for number, source in enumerate(made.forwards)
        ),
    )
    connection.executemany("INSERT INTO forward_target (forward_id, target, position) VALUES (?, ?, ?)", _targets(made))


def _targets(made: Population) -> Iterator[tuple[int, str, int]]:
    """Two targets each: a mailbox of this server and an address elsewhere."""
    count = len(made.mailboxes)
    for number in range(len(made.forwards)):
        yield number + 1, made.mailboxes[(number * 7919 + 1) % count], 1
        yield number + 1, f"someone{number}@elsewhere.example", 2


def _insert_records(connection: sqlite3.Connection, made: Population) -> None:
    connection.executemany(
        "INSERT INTO dns_record (domain_id, purpose, name, parent, content, ttl, enabled, settled)"
        " VALUES (?, ?, ?, ?, ?, 300, 1, 1)",
        _records(made),
    )


def _records(made: Population) -> Iterator[tuple[int, str, str, str | None, str]]:
    for number, domain in enumerate(made.domains):
        yield number + 1, "spf", domain, None, '"v=spf1 mx ~all"'
        if number % 2:
            yield number + 1, "dkim", f"mail._domainkey.{domain}", f"_domainkey.{domain}", DKIM_TEXT
