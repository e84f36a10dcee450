"""Load by wrk: CONNECTIONS that are kept, each sending its next request when it has the answer to the last."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import CannotMeasure

HERE = Path(__file__).parent

CONNECTIONS = 32

ONE_BODY = HERE / "one_body.lua"
ONE_REQUEST = HERE / "one_request.lua"
DISTINCT_ADDRESSES = HERE / "distinct_addresses.lua"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: answers, answers per second, and the time that 99 % of them took at most, in milliseconds."""

    requests: int
    per_second: float
    p99: float


def demand_wrk() -> None:
    """Raises CannotMeasure when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise CannotMeasure("wrk is needed to measure this and is not installed (Debian, Ubuntu: apt-get install wrk)")


def posts(url: str, body: str, seconds: float, script: Path = ONE_BODY) -> Load:
    """The load of posting ``body`` to ``url`` for ``seconds``.

    With DISTINCT_ADDRESSES every ``NUMBER`` in the body is another number in each request.
    Raises CannotMeasure when any answer was not HTTP 200.
    """
    return _load(url, script, [body], seconds)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that is made again and again."""

    method: str
    headers: Mapping[str, str]
    body: str = ""


def repeated(url: str, request: Request, seconds: float) -> Load:
    """The load of making ``request`` of ``url`` for ``seconds``. Raises CannotMeasure as ``posts`` does."""
    headers = [text for pair in request.headers.items() for text in pair]
    return _load(url, ONE_REQUEST, [request.method, request.body, *headers], seconds)


def _load(url: str, script: Path, arguments: Sequence[str], seconds: float) -> Load:
    demand_wrk()
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script)]
    command = ["wrk", *options, url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise CannotMeasure(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    seen = json.loads(done.stdout.splitlines()[-1])
    if seen["errors"]:
        raise CannotMeasure(f"{seen['errors']} of {seen['requests']} requests failed: {done.stdout}")
    return Load(seen["requests"], seen["requests"] / seen["microseconds"] * 1e6, seen["p99"] / 1000)
