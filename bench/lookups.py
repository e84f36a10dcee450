"""Look-ups through the views at 1,000,000 mailboxes: from one Python sqlite3 connection, and by Postfix's own postmap.

Keys are asked for in random order; the absent ones look like the others. The connection is as a mail server would open
it: read-only, with SQLite's own defaults.
"""

import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench import progress
from bench.figures import AtLeast, Figure, median_of
from bench.ground import Filled, Ground
from bench.population import Population
from bench.processes import CannotMeasure

PART = "lookups"
KEYS = 20_000
ROUNDS = 3
TARGET = AtLeast(40_000)

POSTMAP_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question that a mail or name server asks of a view, and the keys to ask it with."""

    view: str
    question: str
    keys: Sequence[str]


def measure(ground: Ground) -> Iterator[Figure]:
    """Look-ups per second of each view, for keys that are there and keys that are not."""
    filled = ground.million
    lookups = _lookups(filled.content)
    with closing(sqlite3.connect(f"{filled.database.as_uri()}?mode=ro", uri=True)) as connection:
        for lookup in lookups:
            progress.say(f"{PART}: {lookup.view}")
            yield _figure(connection, lookup, "present", lookup.keys)
            yield _figure(connection, lookup, "absent", [_absent(key) for key in lookup.keys])
    yield from _by_postmap(ground, filled)


def _lookups(content: Population) -> Sequence[Lookup]:
    dice = random.Random(3)
    domains = dice.choices(content.domains, k=KEYS)
    boxes = dice.sample(content.mailboxes, KEYS)
    # Half of them forward, half are mailboxes.
    sources = [*dice.sample(content.forwards, KEYS // 2), *dice.sample(content.mailboxes, KEYS // 2)]
    dice.shuffle(sources)
    return (
        Lookup("postfix_domain", "SELECT name FROM postfix_domain WHERE name = ?", domains),
        Lookup("postfix_mailbox", "SELECT incarnation FROM postfix_mailbox WHERE address = ?", boxes),
        Lookup("postfix_alias", "SELECT target FROM postfix_alias WHERE address = ?", sources),
        Lookup("postfix_sender_login", "SELECT login FROM postfix_sender_login WHERE address = ?", sources),
        Lookup("dovecot_user", "SELECT password, incarnation, quota_bytes FROM dovecot_user WHERE address = ?", boxes),
        Lookup("pdns_domain", "SELECT id, type, serial FROM pdns_domain WHERE name = ?", domains),
        Lookup("pdns_record", "SELECT type, content, ttl FROM pdns_record WHERE name = ?", domains),
    )


def _absent(key: str) -> str:
    """A name that nobody has, beside ``key`` in every index."""
    local, at, domain = key.rpartition("@")
    return f"{local}~{at}{domain}" if at else f"{key}~"


def _figure(connection: sqlite3.Connection, lookup: Lookup, kind: str, keys: Sequence[str]) -> Figure:
    _ask(connection, lookup.question, keys[: KEYS // 10])
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = _ask(connection, lookup.question, keys)
        rates.append(len(keys) / (time.perf_counter() - begun))
        if kind == "absent" and found:
            raise CannotMeasure(f"{lookup.view} knows {found} absent keys")
        if kind == "present" and found < 0.7 * len(keys):
            raise CannotMeasure(f"{lookup.view} knows only {found} of {len(keys)} present keys")
    return median_of(PART, f"{lookup.view}, {kind} keys", rates, "per s", TARGET)


def _ask(connection: sqlite3.Connection, question: str, keys: Sequence[str]) -> int:
    """How many of ``keys`` have an answer."""
    execute = connection.execute
    return sum(1 for key in keys if execute(question, (key,)).fetchall())


def _by_postmap(ground: Ground, filled: Filled) -> Iterator[Figure]:
    """A bulk of look-ups through postmap, its start included; nothing where Postfix is not installed."""
    if shutil.which("postmap") is None:
        return
    progress.say(f"{PART}: postmap")
    keys = random.Random(4).sample(filled.content.mailboxes, POSTMAP_KEYS)
    directory = _postfix_configuration(ground.directory / "postfix", filled.database)
    rates = [_postmap(directory, keys) for _ in range(ROUNDS)]
    yield median_of(PART, "postmap -q - on postfix_mailbox, present keys", rates, "per s")


def _postfix_configuration(directory: Path, database: Path) -> Path:
    directory.mkdir()
    (directory / "main.cf").write_text("compatibility_level = 3.6\n", encoding="ascii")
    query = "SELECT incarnation FROM postfix_mailbox WHERE address = '%s'"
    (directory / "mailboxes.cf").write_text(f"dbpath = {database}\nquery = {query}\n", encoding="utf-8")
    return directory


def _postmap(directory: Path, keys: Sequence[str]) -> float:
    arguments = ["postmap", "-c", str(directory), "-q", "-", f"sqlite:{directory / 'mailboxes.cf'}"]
    begun = time.perf_counter()
    done = subprocess.run(arguments, input="\n".join(keys), capture_output=True, text=True, timeout=60, check=False)
    seconds = time.perf_counter() - begun
    if done.stdout.count("\n") != len(keys):
        raise CannotMeasure(f"postmap answered {done.stdout.count(chr(10))} of {len(keys)} keys: {done.stderr.strip()}")
    return len(keys) / seconds
