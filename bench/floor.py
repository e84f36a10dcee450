"""The floor: a bare Flask application that reads the same form or JSON and answers JSON of the same size."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, request

from bench.processes import HOST, ROOT, environment_of, free_port, running, wait_for_answer
from bench.service import LISTER, PATH, Service

SETTINGS_PATH = "/settings"
"""Where JSON documents are read and written."""

REPLY_BYTES = "BENCH_REPLY_BYTES"
"""The variable that tells the floor how long its answer shall be."""


def make_app() -> Flask:
    """What gunicorn serves."""
    app = Flask("floor", static_folder=None)
    padding = "-" * (int(os.environ[REPLY_BYTES]) - len(_reply(LISTER.name, "")))

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n")

    @app.post(PATH)
    def answer() -> Response:
        return Response(_reply(request.form["login"], padding), content_type="application/json; charset=utf-8")

    @app.get(SETTINGS_PATH)
    def shown() -> Response:
        return Response(_document(padding), content_type="application/json; charset=utf-8")

    @app.put(SETTINGS_PATH)
    def replaced() -> Response:
        document = _document(padding) if request.get_json() else ""
        return Response(document, content_type="application/json; charset=utf-8")

    return app


def _document(data: str) -> str:
    return json.dumps({"data": data})


def _reply(login: str, data: str) -> str:
    return json.dumps({"error": 0, "login": login, "data": data})


@contextmanager
def floor_beside(service: Service, reply_bytes: int) -> Iterator[Service]:
    """The floor, under the gunicorn settings and the memory settings that ``service`` runs with."""
    port = free_port()
    directory = service.directory.with_name("floor")
    directory.mkdir(exist_ok=True)
    environment = environment_of(service.process.pid) | {
        "MAILSVC_DATA_DIR": str(directory),
        REPLY_BYTES: str(reply_bytes),
    }
    arguments = ["-m", "gunicorn", "-c", str(ROOT / "bench" / "floor_settings.py"), "--bind", f"{HOST}:{port}"]
    log = directory.with_suffix(".log")
    with running([*arguments, "bench.floor:make_app()"], environment, log) as process:
        wait_for_answer(port, "/healthz", process, log)
        yield Service(port, directory, process)
