"""The application factory: settings, store, ports, dialects, health."""

import logging
from collections.abc import Sequence

from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

import config
from mailsvc import protocols
from mailsvc.observation import health, note, requests
from mailsvc.protocols import Dialect, bodies
from mailsvc.services.ports import open_ports

log = logging.getLogger("mailsvc")

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(settings: config.Settings | None = None) -> Flask:
    """The WSGI application for ``settings`` (default: what the environment says). Opens no connection yet."""
    settings = settings or config.load()
    app = Flask("mailsvc", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=bodies.BYTES)
    app.url_map.merge_slashes = False
    ports = app.extensions["mailsvc"] = open_ports(app, settings)
    dialects = protocols.discover()
    _observe(app, dialects, trust_given_id=settings.trusted_proxies > 0)
    for dialect in dialects:
        app.register_blueprint(dialect.blueprint(ports))
    app.register_blueprint(health.blueprint(ports))
    app.register_error_handler(Exception, lambda error: _outside(dialects, error))
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def _observe(app: Flask, dialects: Sequence[Dialect], *, trust_given_id: bool) -> None:
    """One function before each request and one after it: Flask's price is by the function."""

    def before() -> None:
        owner = _owner(dialects)
        requests.begin(owner.name if owner else None, trust_given_id=trust_given_id)

    def after(response: Response) -> Response:
        response.headers.extend(SAFE_HEADERS)
        return requests.end(response)

    app.before_request(before)
    app.after_request(after)


def _owner(dialects: Sequence[Dialect]) -> Dialect | None:
    """The dialect on whose paths the present request came in."""
    path = request.path
    owner = max(dialects, key=lambda dialect: dialect.owns(path), default=None)
    return owner if owner is not None and owner.owns(path) else None


def _outside(dialects: Sequence[Dialect], error: Exception) -> Response:
    """The answer to whatever no handler answered, in the shape of the wire it came in on."""
    if not isinstance(error, HTTPException):
        log.error("unexpected failure", exc_info=error)
    note(outcome=type(error).__name__)
    owner = _owner(dialects)
    if owner is not None:
        return owner.outside(error)
    status = error.code if isinstance(error, HTTPException) and error.code else 500
    text = error.name if isinstance(error, HTTPException) else "Internal Server Error"
    response = Response(f"{status} {text}\n", status, content_type="text/plain; charset=utf-8")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response
