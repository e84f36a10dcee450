"""Memory of master and workers together (PSS): at rest after mixed requests and a burst of addmail, and at its peak.

The mixture holds no DKIM operation, because making a key loads a library that most workers never need; what that costs
is measured last.
"""

import json
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from bench import progress, pss
from bench.figures import AtMost, Figure
from bench.ground import Ground
from bench.mixture import NO_BODY, Request, dkim_switches, mixed
from bench.processes import CannotMeasure
from bench.service import ADDER, Client, Service, serving

PART = "memory"
MIXED = 10_000
BURST = 500
DKIM = 50
CONNECTIONS = 16
REST_SECONDS = 3.0

AT_REST = AtMost(95)
AT_PEAK = AtMost(150)


def measure(ground: Ground) -> Iterator[Figure]:
    """PSS when started, after the mixture, at the peak of the burst, and at rest after both."""
    with serving(ground.small_data(PART)) as service:
        yield _at_rest(service, "as started")
        progress.say(f"{PART}: {MIXED} mixed requests")
        post_all(service, mixed(MIXED))
        yield _at_rest(service, f"at rest after {MIXED:,} mixed requests")
        progress.say(f"{PART}: {BURST} addmail")
        with pss.sampled(service.process.pid) as samples:
            post_all(service, _burst())
        yield Figure(PART, f"peak of {BURST} addmail, {CONNECTIONS} connections", max(samples), "MB", AT_PEAK, samples)
        yield _at_rest(service, f"at rest after both ({MIXED:,} mixed, {BURST} addmail)", AT_REST)
        yield Figure(PART, "of which not in files", pss.of_family(service.process.pid, "Pss_Anon"), "MB")
        post_all(service, dkim_switches(DKIM))
        yield _at_rest(service, "at rest after DKIM was switched in every worker")


def _at_rest(service: Service, when: str, target: AtMost | None = None) -> Figure:
    time.sleep(REST_SECONDS)
    return Figure(PART, when, pss.of_family(service.process.pid), "MB", target)


def _burst() -> Sequence[Request]:
    return [
        Request(
            ADDER.form("addmail", email=f"burst{number}@{ADDER.domain}", password="Box-1", quota="1024"), frozenset({0})
        )
        for number in range(BURST)
    ]


def post_all(service: Service, requests: Sequence[Request]) -> None:
    """Post all requests over CONNECTIONS kept connections. Raises CannotMeasure at the first unexpected answer."""
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()
    failures: queue.SimpleQueue[str] = queue.SimpleQueue()
    for request in requests:
        waiting.put(request)
    threads = [threading.Thread(target=_post_waiting, args=(service, waiting, failures)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not failures.empty():
        raise CannotMeasure(failures.get())


def _post_waiting(service: Service, waiting: "queue.SimpleQueue[Request]", failures: "queue.SimpleQueue[str]") -> None:
    with closing(service.client()) as client:
        while failures.empty():
            try:
                request = waiting.get_nowait()
            except queue.Empty:
                return
            if failure := _failure(client, request):
                failures.put(failure)


def _failure(client: Client, request: Request) -> str | None:
    """What was wrong with the answer, or None."""
    try:
        status, answer = client.post(request.body)
        code = json.loads(answer)["error"] if answer else NO_BODY
    except (OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__} in answer to {request.body[:200]}"
    if status != 200 or code not in request.codes:
        return f"HTTP {status}, code {code} in answer to {request.body[:200]}"
    return None
