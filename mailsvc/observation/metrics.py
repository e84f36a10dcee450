"""Prometheus metrics by dialect, operation and outcome, added up over all processes.

Each process writes its counts to a file of its own in ``PROMETHEUS_MULTIPROC_DIR`` (gunicorn.conf.py sets it), and
whichever process is asked reads them all.
"""

import functools
import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REQUESTS = Counter("mailsvc_requests", "Requests answered", ["dialect", "operation", "outcome"])
_SECONDS = Histogram(
    "mailsvc_request_seconds",
    "Time from the request's arrival to its answer",
    ["dialect", "operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)


# The libraries' own look-up of a label takes a lock; there are few labels, and they are never taken away.
_requests = functools.cache(_REQUESTS.labels)
_seconds = functools.cache(_SECONDS.labels)


def count(dialect: str, operation: str, outcome: str, seconds: float) -> None:
    """Count one answered request. The labels come from fixed sets: never from what a caller sent."""
    _requests(dialect, operation, outcome).inc()
    _seconds(dialect, operation).observe(seconds)


def exposed() -> bytes:
    """All counts in Prometheus's text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
