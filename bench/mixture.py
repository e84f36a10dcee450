"""A mixture of requests as a panel sends them over a day, with the code that each must be answered with.

The order is shuffled, the same in every run. Requests that depend on what was sent before allow every code that the
order can bring about.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.service import ADDER, LISTER, Caller

NO_BODY = -1
"""In the place of a code: the empty answer to a probe of the credentials."""

STRANGER = Caller("nobody", "Wrong-1", LISTER.domain)

SEED = 1


@dataclass(frozen=True, slots=True)
class Request:
    """A form, and the codes it may be answered with."""

    body: str
    codes: frozenset[int]


def mixed(count: int) -> Sequence[Request]:
    """``count`` requests (a multiple of 1,000)."""
    requests = [request for batch in range(count // 1000) for request in _thousand(batch)]
    random.Random(SEED).shuffle(requests)
    return requests


def dkim_switches(count: int) -> Sequence[Request]:
    """``count`` times the DKIM record of one domain on and off."""
    switches = [_request(ADDER.form(switch, domain=ADDER.domain), 0, 2, 3) for switch in ("ondkim", "offdkim")]
    return switches * count


def _thousand(batch: int) -> Iterator[Request]:
    yield from [_request(LISTER.form("getlistmail"), 0)] * 500
    yield from [_request(LISTER.form("getforwardmail"), 0, 1)] * 150
    yield from [_request(LISTER.form(""), NO_BODY)] * 100
    yield from _bad_input()
    for number in range(60):
        source = f"forward{batch * 30 + number % 30}@{LISTER.domain}"
        yield _request(LISTER.form("addforward", source=source, target=f"a{number}@elsewhere.example"), 0)
        if number % 2:
            yield _request(LISTER.form("delforward", source=source), 0, 1)
    # 2: another caller is at work on the same record just now.
    for _ in range(15):
        yield _request(ADDER.form("onspf", domain=ADDER.domain), 0, 2, 3)
        yield _request(ADDER.form("offspf", domain=ADDER.domain), 0, 2, 3)
    for number in range(20):
        address = f"mixed{batch}.{number}@{ADDER.domain}"
        yield _request(ADDER.form("addmail", email=address, password="Box-1", quota="0"), 0)
    yield from [_request(ADDER.form("delmail", email=f"none{batch}@{ADDER.domain}"), 1)] * 10


def _bad_input() -> Iterator[Request]:
    yield from [_request(LISTER.form("addmail", email="no address", password="x", quota="1"), 2)] * 30
    yield from [_request(LISTER.form("addforward", source="a@b@c", target="|/bin/sh"), 2)] * 30
    yield from [_request(LISTER.form("onspf", domain="\x00"), 1)] * 10
    yield from [_request(LISTER.form("nosuchoperation"), 1002)] * 20
    yield from [_request("&".join(f"field{number}=%ff%fe" for number in range(200)), 1000)] * 5
    yield from [_request(STRANGER.form("getlistmail"), 1000)] * 5


def _request(body: str, *codes: int) -> Request:
    return Request(body, frozenset(codes))
