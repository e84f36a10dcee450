"""Unique secrets through every call of every dialect: none is ever found where it does not belong.

A dialect takes part by a module ``canary.py`` beside its tests.
"""

import base64
import importlib
import importlib.util
import pkgutil
from typing import Any

import pytest
from flask import Flask

import tests.protocols
from mailsvc.observation.logs import JsonLines, TextLines
from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.canaries import Canaries, everything_logged
from tests.services.callers import everything

DIALECTS = [
    module.name
    for module in pkgutil.iter_modules(tests.protocols.__path__)
    if module.ispkg and importlib.util.find_spec(f"tests.protocols.{module.name}.canary") is not None
]


def test_dialects_take_part() -> None:
    assert {"brainycp", "dbvisit", "docspace", "onlyoffice_mail", "webitel"} <= set(DIALECTS)


@pytest.mark.parametrize("name", DIALECTS)
def test_no_secret_is_found_where_it_does_not_belong(name: str, app: Flask, ports: Ports) -> None:
    dialect: Any = importlib.import_module(f"tests.protocols.{name}.canary")
    canaries = Canaries()
    with everything_logged() as records:
        replies = list(dialect.calls(app.test_client(use_cookies=False), ports, canaries))
        secret = canaries.new()
        users.change_password(ports, act(), name="root", password=secret)
        metrics = app.test_client().get("/metrics", auth=("root", secret))
    assert len(canaries.sent) > 3 and len(replies) > 10 and metrics.status_code == 200

    for formatter in (JsonLines(), TextLines()):
        logged = "\n".join(formatter.format(record) for record in records)
        assert canaries.found_in(logged.encode("utf-8", "surrogatepass")) == []
    assert canaries.found_in(metrics.data) == []
    for reply in replies:
        assert dialect.__dict__.get("ECHOES") or canaries.found_in(reply.data, issued=False) == []
        assert canaries.found_in(repr(reply.headers).encode(), issued=False) == []
    # Everything that is stored, sealed or not; and, where there are files, whatever is left in them beside it.
    assert canaries.found_in(repr(everything(ports)).encode("utf-8", "surrogatepass")) == []
    for file in ports.settings.data_dir.rglob("*"):
        if file.is_file():
            assert canaries.found_in(file.read_bytes()) == [], file


@pytest.mark.parametrize("before", range(5))
def test_what_is_shown_is_found(before: int) -> None:
    canaries = Canaries()
    secret, issued = canaries.new(), canaries.note("0123456789abcdef-issued")
    assert canaries.found_in(b"x" * before + secret.encode() + b"y") == [secret]
    assert canaries.found_in(b"<" + base64.b64encode(b"x" * before + secret.encode() + b"yz") + b">") == [secret]
    assert canaries.found_in(issued.encode()) == [issued] and not canaries.found_in(issued.encode(), issued=False)
    assert canaries.found_in(b"nothing") == []
