"""The whole mail host, from the rendered configuration: how soon a change is in force, and how much mail flows.

The servers are those that the tests run (tests/mailhost), with the milter, on loopback and private directories.
"""

import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import dns.message
import pytest
from sqlalchemy import text

from bench import progress
from bench.figures import AtLeast, Figure, median_of
from bench.ground import Ground
from bench.processes import CannotMeasure
from mailsvc.services.ports import Ports
from tests.mailhost.host import SENDER, Host
from tests.milter.filtered import filtered_host

PART = "mailhost"

BOXES = 200
"""Mailboxes whose first login and first RCPT are timed."""

ROUNDS = 3
MESSAGES = 400
SENDERS = 4
RECEIVERS = 20
COMMITS = 50
"""Of the writer, per second."""

UNDISTURBED = AtLeast(0.95)

DNS_SECONDS = 3.0
WINDOW = 32
"""Questions that are under way at a time."""

BODY = "Subject: {}\r\n\r\n" + "A line of some sixty bytes, as people write them in letters.\r\n" * 40


def measure(_ground: Ground) -> Iterator[Figure]:
    """Everything that needs the servers. Raises CannotMeasure where one is not installed."""
    with ExitStack() as stack:
        try:
            filtered = stack.enter_context(filtered_host())
        except pytest.skip.Exception as reason:
            raise CannotMeasure(str(reason)) from None
        yield from _first_uses(filtered.host)
        yield from _flow(filtered.host, filtered.ports)
        yield from _questions(filtered.host)


def _first_uses(host: Host) -> Iterator[Figure]:
    """From the reply of ``addmail`` to the first login and the first RCPT that succeed, both at once."""
    progress.say(f"{PART}: {BOXES} first logins and RCPTs")
    login, recipient = [], []
    with ThreadPoolExecutor(2) as both:
        for number in range(BOXES):
            address = f"first{number}@example.org"
            host.add(address)
            replied = time.perf_counter()
            logged_in = both.submit(_seconds_to_login, host, address, replied)
            recipient.append(both.submit(_seconds_to_rcpt, host, address, replied).result() * 1000)
            login.append(logged_in.result() * 1000)
            host.wait_for_delivery()
    for what, took in (("IMAP login", login), ("RCPT", recipient)):
        yield median_of(PART, f"from addmail's reply to the first {what}, median of {BOXES}", took, "ms")
        yield Figure(PART, f"from addmail's reply to the first {what}, worst of {BOXES}", max(took), "ms")


def _seconds_to_login(host: Host, address: str, since: float) -> float:
    while not host.lets_in(address):
        if time.perf_counter() > since + 60:
            raise CannotMeasure(f"{address} cannot log in")
    return time.perf_counter() - since


def _seconds_to_rcpt(host: Host, address: str, since: float) -> float:
    """To the 250. A message follows: a hundred recipients without one, and each later one waits 1 s (in_flow_delay)."""
    while time.perf_counter() < since + 60:
        with host.smtp() as connection:
            connection.mail(SENDER)
            if connection.rcpt(address)[0] == 250:
                took = time.perf_counter() - since
                connection.data(BODY.format("first"))
                return took
    raise CannotMeasure(f"{address} gets no mail")


def _flow(host: Host, ports: Ports) -> Iterator[Figure]:
    """Messages per second from SMTP into mailboxes, alone and beside a writer, in turns."""
    addresses = [f"first{number}@example.org" for number in range(RECEIVERS)]
    _messages_per_second(host, addresses)
    alone, beside, reached = [], [], []
    for number in range(1, ROUNDS + 1):
        progress.say(f"{PART}: mail, round {number} of {ROUNDS}")
        alone.append(_messages_per_second(host, addresses))
        with _writer(ports) as commits:
            begun = time.perf_counter()
            beside.append(_messages_per_second(host, addresses))
            reached.append(len(commits) / (time.perf_counter() - begun))
    yield median_of(PART, f"messages through Postfix to Dovecot, {SENDERS} connections, 2.5 KB", alone, "per s")
    yield median_of(PART, f"the same beside a writer of {COMMITS} commits per second", beside, "per s")
    yield median_of(PART, "commits of that writer", reached, "per s")
    ratios = [one / other for one, other in zip(beside, alone, strict=True)]
    yield median_of(PART, "beside a writer / undisturbed", ratios, target=UNDISTURBED)


def _messages_per_second(host: Host, addresses: Sequence[str]) -> float:
    """From the first MAIL until the last message is delivered."""

    def send(first: int) -> None:
        with host.smtp() as connection:
            for number in range(first, MESSAGES, SENDERS):
                connection.sendmail(SENDER, [addresses[number % len(addresses)]], BODY.format(number))

    begun = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(send, range(SENDERS)))
    host.wait_for_delivery()
    return MESSAGES / (time.perf_counter() - begun)


@contextmanager
def _writer(ports: Ports) -> Iterator[list[float]]:
    """Commits at an even pace for as long as the block lasts, with the moment of each."""
    moments: list[float] = []
    failures: list[Exception] = []
    enough = threading.Event()

    def write() -> None:
        begun = time.perf_counter()
        for number in itertools.count(1):
            try:
                with ports.store.writing() as unit:
                    unit.execute(text("UPDATE domain SET zone_serial = zone_serial + 1"))
            except Exception as error:
                failures.append(error)
                return
            moments.append(time.perf_counter())
            if enough.wait(max(0.0, begun + number / COMMITS - time.perf_counter())):
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield moments
    finally:
        enough.set()
        thread.join()
    if failures:
        raise CannotMeasure(f"the writer failed: {failures[0]}")


def _questions(host: Host) -> Iterator[Figure]:
    """Answers per second of PowerDNS, whose caches are off, over one socket."""
    for kind in ("MX", "SOA"):
        progress.say(f"{PART}: PowerDNS, {kind}")
        rates = [_answers_per_second(host.site.ports.dns, kind) for _ in range(ROUNDS)]
        yield median_of(PART, f"PowerDNS, {kind}, {WINDOW} questions under way", rates, "per s")


def _answers_per_second(port: int, kind: str) -> float:
    question = dns.message.make_query("example.org", kind).to_wire()[2:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect(("127.0.0.1", port))
        connection.settimeout(5)
        for number in range(WINDOW):
            connection.send(number.to_bytes(2, "big") + question)
        begun, count = time.perf_counter(), 0
        while time.perf_counter() < begun + DNS_SECONDS:
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                raise CannotMeasure("PowerDNS lost questions") from None
            if answer[3] & 0x0F or not answer[7]:
                raise CannotMeasure(f"PowerDNS has no answer: code {answer[3] & 0x0F}")
            count += 1
            connection.send(answer[:2] + question)
        return count / (time.perf_counter() - begun)
