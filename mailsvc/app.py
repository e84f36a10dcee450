"""The application factory: settings, store, ports, dialects, health."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

import config
from mailsvc import protocols
from mailsvc.observation import health, note
from mailsvc.observation.requests import SAFE_HEADERS, Observing
from mailsvc.openapi import routes as openapi
from mailsvc.protocols import bodies
from mailsvc.services.ports import open_ports

log = logging.getLogger("mailsvc")


class Application(Flask):
    """Flask without asynchronous views: it asks of every function of every request whether it is one.

    Its own kind of response is what the dialects answer with, so that it need not be made of another.
    """

    response_class = Response  # type: ignore[assignment]

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def create_app(settings: config.Settings | None = None) -> Flask:
    """The WSGI application for ``settings`` (default: what the environment says). Opens no connection yet."""
    settings = settings or config.load()
    app = Application("mailsvc", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=bodies.BYTES)
    app.url_map.merge_slashes = False
    ports = app.extensions["mailsvc"] = open_ports(app, settings)
    dialects = protocols.discover()
    owners = protocols.Owners(dialects)
    for dialect in dialects:
        app.register_blueprint(dialect.blueprint(ports))
    app.register_blueprint(health.blueprint(ports))
    app.register_blueprint(openapi.blueprint(dialects))
    app.register_error_handler(Exception, lambda error: _outside(owners, error))
    app.wsgi_app = Observing(app.wsgi_app, owners.of, SAFE_HEADERS, trust_given_id=settings.trusted_proxies > 0)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def _outside(owners: protocols.Owners, error: Exception) -> Response:
    """The answer to whatever no handler answered, in the shape of the wire it came in on."""
    if not isinstance(error, HTTPException):
        log.error("unexpected failure", exc_info=error)
    note(outcome=type(error).__name__)
    owner = owners.of(request.path)
    if owner is not None:
        return owner.outside(error)
    status = error.code if isinstance(error, HTTPException) and error.code else 500
    text = error.name if isinstance(error, HTTPException) else "Internal Server Error"
    response = Response(f"{status} {text}\n", status, content_type="text/plain; charset=utf-8")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response
