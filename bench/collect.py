"""Collecting external accounts, from a real Dovecot to a real Dovecot on this machine: messages per second beside
fetchmail and getmail6, memory with a thousand accounts, and the time from arrival at the source to arrival here."""

import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from bench import other_collectors, progress, pss
from bench.figures import AtLeast, Figure, median_of, percentile
from bench.ground import Ground
from bench.other_collectors import OTHERS, Job
from bench.processes import HOST, ROOT, CannotMeasure
from bench.service import LISTER, Data
from tests.servers.dovecot_mail import PASSWORD, DovecotMail, dovecot_mail

PART = "collect"

MESSAGES = 600
BODY = ("A line of a usual message, as long as most are when they are wrapped.\n" * 60).encode()
ROUNDS = 6

OURS = "ours"
RUNNING = "ours, by a worker that runs"
"""One run gives both rates: the worker runs all the time, the others are started for every run."""

ACCOUNTS = 1_000
ACTIVE = 10
ARRIVALS = 30

LOCAL = f"box0@{LISTER.domain}"
PATIENCE = 240.0
TURN = 0.005

NO_PORT = 1
"""Nobody listens in what is measured here."""

SYNCED = "mail_fsync = optimized\n"
"""As Dovecot comes: what it has accepted lies on the disk. The tests' own servers do without."""

MANY_CONNECTIONS = "mail_max_userip_connections = 2000\nservice imap {\n  process_limit = 2000\n}\n"


def measure(ground: Ground) -> Iterator[Figure]:
    """Rates, as ratios within this run; memory; latency."""
    with dovecot_mail(more=MANY_CONNECTIONS + SYNCED) as source, dovecot_mail(more=SYNCED) as target:
        yield from _rates(ground, source, target)
        yield from _memory(ground, source, target)
        yield from _latency(ground, source, target)


def _rates(ground: Ground, source: DovecotMail, target: DovecotMail) -> Iterator[Figure]:
    user = "rates@foreign.test"
    _fill(source, user, MESSAGES)
    others = [name for name in OTHERS if other_collectors.is_there(name)]
    rounds: list[dict[str, float]] = []
    for number in range(ROUNDS):
        progress.say(f"{PART}: rates, {number + 1} of {ROUNDS}")
        rates: dict[str, float] = {}
        # In turn: whoever comes first finds the machine in another state than the one after him.
        for name in _turned([OURS, *others], number):
            _empty(target)
            directory = ground.directory / f"{PART}-{name}-{number}"
            if name == OURS:
                rates |= _our_rates(ground.small_data(directory.name), user, source, target)
            else:
                rates[name] = _other_rate(name, directory, Job(user, PASSWORD, source.imap, target.lmtp, LOCAL), target)
        rounds.append(rates)
    yield median_of(PART, f"collected, {MESSAGES} messages of 4 KB, start included", _of(rounds, OURS), "/s")
    yield median_of(PART, "the same from the moment that the account is found to be due", _of(rounds, RUNNING), "/s")
    for name in others:
        yield median_of(PART, f"the same by {name}, start included", _of(rounds, name), "/s")
    if others:
        ratio = "to the faster of the others, median of the rounds"
        yield median_of(PART, f"start included, {ratio}", _ratios(rounds, OURS, others), "", AtLeast(1.0))
        yield median_of(PART, f"by a worker that runs, {ratio}", _ratios(rounds, RUNNING, others), "", AtLeast(1.0))


def _turned(names: list[str], number: int) -> list[str]:
    first = number % len(names)
    return names[first:] + names[:first]


def _of(rounds: list[dict[str, float]], name: str) -> list[float]:
    return [rates[name] for rates in rounds]


def _ratios(rounds: list[dict[str, float]], ours: str, others: list[str]) -> list[float]:
    return [rates[ours] / max(rates[name] for name in others) for rates in rounds]


def _other_rate(name: str, directory: Path, job: Job, target: DovecotMail) -> float:
    directory.mkdir(mode=0o700)
    begun = time.perf_counter()
    try:
        other_collectors.run(OTHERS[name](job, directory), directory)
    except RuntimeError as error:
        raise CannotMeasure(str(error)) from None
    took = time.perf_counter() - begun
    return _count(target) / took


def _our_rates(data: Data, user: str, source: DovecotMail, target: DovecotMail) -> dict[str, float]:
    """Up to the record of the last message: once from the start of the worker, once from its hold of the account."""
    _connect(data, source, [user])
    begun = time.perf_counter()
    with _worker(data, target), _looking(data) as look:
        _wait(lambda: look("SELECT count(lease_holder) FROM external_account"), "a visit", turn=TURN)
        held = time.perf_counter()
        _wait(lambda: look("SELECT sum(collected) FROM external_account") >= MESSAGES, "every message", turn=TURN)
        ended = time.perf_counter()
    return {OURS: MESSAGES / (ended - begun), RUNNING: MESSAGES / (ended - held)}


def _memory(ground: Ground, source: DovecotMail, target: DovecotMail) -> Iterator[Figure]:
    progress.say(f"{PART}: memory with {ACCOUNTS} accounts")
    data = ground.small_data(f"{PART}-memory")
    users = [f"many{number}@foreign.test" for number in range(ACCOUNTS)]
    _connect(data, source, users)
    _empty(target)
    for user in users[:ACTIVE]:
        _fill(source, user, 300)
    with _worker(data, target) as process, pss.sampled(process.pid) as samples:
        _wait(lambda: _visited(data) == ACCOUNTS and _count(target) >= ACTIVE * 300, "a visit of every account")
        rest = pss.of_family(process.pid)
    yield Figure(PART, f"memory (PSS) with {ACCOUNTS:,} accounts, {ACTIVE} of them active, at most", max(samples), "MB")
    yield Figure(PART, "the same once all were visited, 200 sessions waiting for news", rest, "MB")


def _latency(ground: Ground, source: DovecotMail, target: DovecotMail) -> Iterator[Figure]:
    user = "news@foreign.test"
    data = ground.small_data(f"{PART}-latency")
    source.maildir(user)
    _connect(data, source, [user])
    _empty(target)
    took: list[float] = []
    with _worker(data, target):
        _wait(lambda: _visited(data) == 1, "the first visit")
        time.sleep(2)
        for number in range(ARRIVALS):
            progress.say(f"{PART}: news, {number + 1} of {ARRIVALS}")
            begun = time.perf_counter()
            _deliver(source, user, number)
            _wait(partial(_more_than, target, number), "the news", turn=TURN)
            took.append(time.perf_counter() - begun)
            time.sleep(0.5)
    yield median_of(PART, "arrival at a source with IDLE to arrival here, median", took, "s")
    yield Figure(PART, "the same, worst of 30", percentile(took, 100), "s", None, took)


def _deliver(source: DovecotMail, user: str, number: int) -> None:
    """By LMTP, as mail arrives."""
    with smtplib.LMTP(HOST, source.lmtp) as connection:
        connection.sendmail("a@foreign.test", [user], f"Subject: {number}\r\n\r\nNews.\r\n")


def _fill(source: DovecotMail, user: str, count: int) -> None:
    for number in range(count):
        source.put(user, b"Date: Tue, 01 Sep 2026 10:00:00 +0000\nSubject: %d\n\n" % number + BODY, f"{number:06}")
    source.run("mailbox", "status", "-u", user, "messages", "INBOX")


def _empty(target: DovecotMail) -> None:
    """A mailbox without a past: with each message that was ever in it Dovecot takes longer for the next."""
    shutil.rmtree(target.maildir(LOCAL))
    target.maildir(LOCAL)


def _more_than(target: DovecotMail, number: int) -> bool:
    return _count(target) > number


def _count(target: DovecotMail) -> int:
    return sum(1 for folder in ("new", "cur") for _ in (target.maildir(LOCAL) / folder).iterdir())


def _connect(data: Data, source: DovecotMail, users: list[str]) -> None:
    """Save an account for each of ``users`` in another process: the product is not loaded in this one."""
    command = [sys.executable, "-m", "bench.connect_accounts", LISTER.name, LOCAL, str(source.imap), PASSWORD]
    environment = data.environment(NO_PORT)
    subprocess.run(command, cwd=ROOT, env=environment, input="\n".join(users), text=True, check=True, timeout=120)


@contextmanager
def _worker(data: Data, target: DovecotMail) -> Iterator[subprocess.Popen[bytes]]:
    delivery = f"lmtp://{HOST}:{target.lmtp}"
    environment = data.environment(NO_PORT) | {"MAILSVC_LOCAL_DELIVERY": delivery, "MALLOC_ARENA_MAX": "1"}
    with (data.directory.with_suffix(".log")).open("ab") as log:
        command = [sys.executable, "-m", "mailsvc", "collect"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _visited(data: Data) -> int:
    with _looking(data) as look:
        return look("SELECT count(*) FROM external_account WHERE visited_at IS NOT NULL")


@contextmanager
def _looking(data: Data) -> Iterator[Callable[[str], int]]:
    """Asks the worker's database for a number, at next to no cost."""
    file = f"{(data.directory / 'mailsvc.sqlite3').as_uri()}?mode=ro"
    with closing(sqlite3.connect(file, uri=True)) as connection:
        yield lambda query: connection.execute(query).fetchone()[0]


def _wait(condition: Callable[[], object], what: str, *, turn: float = 0.05) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise CannotMeasure(f"waited in vain for {what}")
        time.sleep(turn)
