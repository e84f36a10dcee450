"""The form dialect while fifty test messages are on their way to a server that says nothing."""

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection

from bench import progress
from bench.figures import AtMost, Figure, median_of
from bench.ground import Ground
from bench.lists import BODY, check_list
from bench.load import demand_wrk, posts
from bench.processes import HOST, CannotMeasure
from bench.service import ROOT_PASSWORD, Service, serving

PART = "outgoing"
ROUNDS = 3
SECONDS = 5.0
SENDERS = 50
TARGET = AtMost(3.0)

SETTLED_SECONDS = 3.0
"""Long enough for every sender to be waiting or refused; the greeting is waited for ten times as long."""

_CREDENTIALS = b64encode(f"root:{ROOT_PASSWORD}".encode()).decode()
_HEADERS = {"Authorization": f"Basic {_CREDENTIALS}", "Content-Type": "application/json"}


def measure(ground: Ground) -> Iterator[Figure]:
    """The slowest percent of getlistmail, in turns undisturbed and disturbed."""
    demand_wrk()
    with serving(ground.small_data(PART)) as service:
        check_list(service)
        posts(service.url, BODY, 1)
        calm, disturbed, waiting = [], [], []
        for number in range(1, ROUNDS + 1):
            progress.say(f"{PART}: round {number} of {ROUNDS}")
            calm.append(posts(service.url, BODY, SECONDS).p99)
            with _senders(service) as connected:
                disturbed.append(posts(service.url, BODY, SECONDS).p99)
                waiting.append(len(connected))
        check_list(service)
    yield median_of(PART, f"of {SENDERS} test sends, those that talk to the silent server", waiting)
    yield median_of(PART, "getlistmail, slowest 1 %, undisturbed", calm, "ms")
    yield median_of(PART, f"getlistmail, slowest 1 %, during {SENDERS} test sends", disturbed, "ms")
    ratios = [after / before for before, after in zip(calm, disturbed, strict=True)]
    yield median_of(PART, "during / undisturbed", ratios, target=TARGET)


@contextmanager
def _senders(service: Service) -> Iterator[list[socket.socket]]:
    """SENDERS test sends under way; the connections that they have to a server that says nothing."""
    with socket.create_server((HOST, 0), backlog=SENDERS) as silent:
        connected: list[socket.socket] = []
        threading.Thread(target=_accept, args=(silent, connected), daemon=True).start()
        _call(service, "edit", smtp_host=HOST, smtp_port=silent.getsockname()[1], from_email="bench@lister.example")
        senders = [threading.Thread(target=_send, args=(service,), daemon=True) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(SETTLED_SECONDS)
        if not connected:
            raise CannotMeasure("no test send reached the silent server")
        yield connected
        for sock in connected:
            sock.close()
        for sender in senders:
            sender.join(60)


def _accept(silent: socket.socket, connected: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            connected.append(silent.accept()[0])


def _send(service: Service) -> None:
    _call(service, "test", to="bench@lister.example")


def _call(service: Service, call: str, **params: object) -> int:
    with closing(HTTPConnection(HOST, service.port, timeout=90)) as connection:
        connection.request("POST", f"/email-settings/{call}", json.dumps({"params": params}), _HEADERS)
        return connection.getresponse().status
