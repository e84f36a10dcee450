"""``/openapi.json`` and ``/docs``: the same for everybody, made once when first asked for."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import orjson
from flask import Blueprint
from werkzeug.wrappers import Response

from mailsvc.observation import note
from mailsvc.protocols import Dialect

HERE = Path(__file__).parent


def blueprint(dialects: Sequence[Dialect]) -> Blueprint:
    """The two routes. The page fetches nothing from elsewhere: its only style is within it."""
    routes = Blueprint("openapi", __name__)

    @functools.cache
    def document() -> bytes:
        # Loaded when asked for: most servers are never asked.
        from mailsvc.openapi.document import make

        return orjson.dumps(make(dialects))

    @functools.cache
    def page() -> tuple[str, str]:
        from jinja2 import Environment, FileSystemLoader

        style = (HERE / "page.css").read_text(encoding="utf-8")
        environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
        html = environment.get_template("page.html").render(document=orjson.loads(document()), style=style)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        return html, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"

    @routes.get("/openapi.json")
    def openapi() -> Response:
        note(operation="openapi")
        return Response(document(), content_type="application/json; charset=utf-8")

    @routes.get("/docs")
    def docs() -> Response:
        note(operation="docs")
        html, policy = page()
        return Response(html, headers={"Content-Security-Policy": policy}, content_type="text/html; charset=utf-8")

    return routes
