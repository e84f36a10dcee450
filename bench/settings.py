"""Settings read and written by callers with tokens, against the floor, in turns."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection

from bench import processor, progress
from bench.figures import AtLeast, Figure, median_of
from bench.floor import SETTINGS_PATH, floor_beside
from bench.ground import Ground
from bench.load import Load, Request, demand_wrk, repeated
from bench.processes import HOST, CannotMeasure
from bench.service import LISTER, ROOT_PASSWORD, Service, serving

PART = "settings"
ROUNDS = 6
SECONDS = 3.0

JSON = {"Content-Type": "application/json"}
DOCUMENT = json.dumps(
    {
        "provider": "smtp",
        "description": "My PBX Email Settings",
        "from": f"n@{LISTER.domain}",
        "options": {
            "host": "smtp.example.net", "port": 465, "secure": True, "debug": False,
            "tls": {"rejectUnauthorized": False}, "auth": {"user": f"n@{LISTER.domain}", "pass": "b271e0c652eaa98e"},
        },
    },
    separators=(",", ":"),
)  # fmt: skip

PORTAL = json.dumps(
    {
        "host": "mail.example.com", "port": 25, "senderAddress": "notify@example.com", "senderDisplayName": "Postman",
        "credentialsUserName": "notify@example.com", "credentialsUserPassword": "{password}", "enableAuth": True,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A call to measure: its name, where it goes, what is sent there and to the floor, what it should reach."""

    what: str
    path: str
    request: Request
    floor: Request
    target: AtLeast


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one server: the load it bore, and the processor time of each request in microseconds."""

    load: Load
    processor: float


def measure(ground: Ground) -> Iterator[Figure]:
    """Requests per second of each call and of the floor, and the median of the rounds' ratios."""
    demand_wrk()
    with serving(ground.small_data(PART)) as service:
        for call in _calls(service):
            with floor_beside(service, _check(service, call)) as floor:
                rounds = [_round(number, floor, service, call) for number in range(1, ROUNDS + 1)]
            _check(service, call)
            yield from _figures(call, rounds)


def _calls(service: Service) -> Sequence[Call]:
    return (*_webitel(service), *_docspace(service))


def _webitel(service: Service) -> Sequence[Call]:
    path = f"/api/v2/email/settings?domain={LISTER.domain}"
    login = json.dumps({"username": LISTER.name, "password": LISTER.password})
    reply = json.loads(_asked(service, "/login", Request("POST", JSON, login)))
    headers = {"X-Key": reply["key"], "X-Access-Token": reply["token"]}
    _asked(service, path, Request("POST", JSON | headers, DOCUMENT))
    return (
        Call("Webitel GET", path, Request("GET", headers), Request("GET", headers), AtLeast(0.6)),
        Call("Webitel PUT", path, Request("PUT", JSON | headers, DOCUMENT),
             Request("PUT", JSON | headers, DOCUMENT), AtLeast(0.3)),
    )  # fmt: skip


def _docspace(service: Service) -> Sequence[Call]:
    path = "/api/2.0/smtpsettings/smtp"
    login = json.dumps({"userName": "root", "password": ROOT_PASSWORD})
    token = json.loads(_asked(service, "/api/2.0/authentication", Request("POST", JSON, login)))["response"]["token"]
    headers = {"Authorization": token}
    _asked(service, path, Request("POST", JSON | headers, PORTAL))
    return (Call("DocSpace GET", path, Request("GET", headers), Request("GET", headers), AtLeast(0.6)),)


def _asked(service: Service, path: str, request: Request) -> bytes:
    """The answer to one request. Raises CannotMeasure when it fails."""
    with closing(HTTPConnection(HOST, service.port, timeout=30)) as connection:
        connection.request(request.method, path, request.body or None, dict(request.headers))
        response = connection.getresponse()
        answer = response.read()
    if response.status != 200:
        raise CannotMeasure(f"{request.method} {path} is answered with HTTP {response.status}: {answer[:200]!r}")
    return answer


def _check(service: Service, call: Call) -> int:
    """The size of the answer in bytes. Raises CannotMeasure when it is not the one to be measured."""
    return len(_asked(service, call.path, call.request))


def _round(number: int, floor: Service, ours: Service, call: Call) -> tuple[Turn, Turn]:
    progress.say(f"{PART}: {call.what}, round {number} of {ROUNDS}")
    return _turn(floor, SETTINGS_PATH, call.floor), _turn(ours, call.path, call.request)


def _turn(server: Service, path: str, request: Request) -> Turn:
    before = processor.seconds_of_workers(server.process.pid)
    load = repeated(f"http://{HOST}:{server.port}{path}", request, SECONDS)
    return Turn(load, (processor.seconds_of_workers(server.process.pid) - before) / load.requests * 1e6)


def _figures(call: Call, rounds: Sequence[tuple[Turn, Turn]]) -> Iterator[Figure]:
    bare = f"bare Flask {call.floor.method}"
    yield median_of(PART, f"{bare} beside {call.what}", [floor.load.per_second for floor, _ in rounds], "requests/s")
    yield median_of(PART, call.what, [ours.load.per_second for _, ours in rounds], "requests/s")
    ratios = [ours.load.per_second / floor.load.per_second for floor, ours in rounds]
    yield median_of(PART, f"{call.what} / floor", ratios, target=call.target)
    yield median_of(PART, f"{call.what}, slowest 1 %, 32 connections", [ours.load.p99 for _, ours in rounds], "ms")
    yield median_of(PART, f"processor time of a {bare}", [floor.processor for floor, _ in rounds], "µs")
    yield median_of(PART, f"processor time of a {call.what}", [ours.processor for _, ours in rounds], "µs")
