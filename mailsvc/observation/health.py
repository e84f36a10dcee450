"""Health for whoever watches: is the process up, can it serve, and the metrics (for root users only)."""

import logging

from flask import Blueprint, request
from werkzeug.wrappers import Response

from mailsvc.core.refusals import Refusal
from mailsvc.observation import metrics, note
from mailsvc.services import sign_in
from mailsvc.services.ports import Ports
from mailsvc.store import schema

log = logging.getLogger("mailsvc.health")

_TEXT = "text/plain; charset=utf-8"


def blueprint(ports: Ports) -> Blueprint:
    """``/healthz``, ``/readyz`` and ``/metrics``."""
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        note(operation="healthz")
        return Response("ok\n", content_type=_TEXT)

    @routes.get("/readyz")
    def readyz() -> Response:
        note(operation="readyz")
        missing = _missing(ports)
        return Response(f"{missing or 'ready'}\n", 503 if missing else 200, content_type=_TEXT)

    @routes.get("/metrics")
    def exposed() -> Response:
        note(operation="metrics")
        if not _is_root(ports):
            # The one place that asks a browser or a scraper for Basic credentials.
            asked = {"WWW-Authenticate": 'Basic realm="mailsvc metrics", charset="UTF-8"'}
            return Response("root credentials, please\n", 401, asked, content_type=_TEXT)
        return Response(metrics.exposed(), content_type=metrics.CONTENT_TYPE)

    return routes


def _missing(ports: Ports) -> str | None:
    """What keeps this process from serving, or None."""
    try:
        with ports.store.reading() as unit:
            return None if schema.is_current(unit) else "the database is not at this version's schema"
    except Exception as error:
        log.error("the store does not answer: %s", type(error).__name__)
        return "the store does not answer"


def _is_root(ports: Ports) -> bool:
    sent = sign_in.basic_credentials(request.headers.get("Authorization"))
    if sent is None:
        return False
    try:
        user = sign_in.by_password(ports, name=sent[0], password=sent[1], address=request.remote_addr or "")
    except Refusal:
        return False
    note(caller=user.name)
    return user.is_root
