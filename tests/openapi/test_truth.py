"""What the document says is what is answered: no status, no content type that it does not name, whatever is sent."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from mailsvc import protocols
from mailsvc.openapi.document import make
from tests.application import ROOT_SECRET

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

NOWHERE = "0.0.0.0/0, ::/0"
"""Networks that this service never connects to: all of them. The courier has tests of its own."""

NOTHING = "text/plain"
"""What a body without a byte may be called."""

FORM = "application/x-www-form-urlencoded"


class Call(NamedTuple):
    """An operation of the document."""

    path: str
    method: str
    operation: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def calls_of(dialect: str) -> Iterator[Call]:
    """Every operation of a dialect."""
    for path, item in make(protocols.discover())["paths"].items():
        for method, operation in item.items():
            if operation["tags"] == [dialect]:
                yield Call(path, method, operation)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn, call: Call) -> tuple[bytes, str]:
    """A body and its content type: nearly right, of the right form with any values, or anything."""
    contents: Mapping[str, Any] = call.operation.get("requestBody", {}).get("content", {})
    media = draw(st.sampled_from([*contents, "application/json", FORM, "text/plain"]))
    content: Mapping[str, Any] = next(iter(contents.values()), {})
    example = dict(content.get("example") or {})
    names = [*content.get("schema", {}).get("properties", {}), "x"]
    changed = draw(st.dictionaries(st.sampled_from(names), JSON, max_size=3))
    kind = draw(st.sampled_from(["example", "changed", "any", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=60)), media
    value: Any = {"example": example, "changed": {**example, **changed}, "any": draw(JSON)}[kind]
    if media == FORM and isinstance(value, dict):
        from urllib.parse import urlencode

        return urlencode({str(name): str(item) for name, item in value.items()}, errors="replace").encode(), media
    return json.dumps(value).encode("utf-8", "replace"), media


def path_of(draw: st.DrawFn, call: Call) -> str:
    """The path with its parameters filled in."""
    return re.sub(r"\{[^}]*\}", lambda _: draw(st.sampled_from(["a@b.example", "x", "1"])), call.path)


@st.composite
def requests(draw: st.DrawFn, dialect: str) -> tuple[Call, dict[str, Any]]:
    """A call of the dialect, and how the client makes it."""
    call = draw(st.sampled_from(list(calls_of(dialect))))
    body, media = draw(bodies(call))
    named = [parameter["name"] for parameter in call.operation.get("parameters", ()) if parameter["in"] == "query"]
    query = draw(st.dictionaries(st.sampled_from([*named, "x"]), st.sampled_from(["example.com", "bob.test", "", "é"])))
    how = {"path": path_of(draw, call), "query_string": query, "method": call.method.upper()}
    if call.method != "get":
        how |= {"data": body, "content_type": media}
    return call, how


def credentials(client: FlaskClient) -> dict[str, str]:
    """What each dialect takes for root: Basic, and the key and token of one that asks for both."""
    basic = base64.b64encode(f"root:{ROOT_SECRET}".encode()).decode()
    answer: Any = client.post("/login", json={"username": "root", "password": ROOT_SECRET}).json
    return {"Authorization": f"Basic {basic}", "X-Key": answer["key"], "X-Access-Token": answer["token"]}


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {"SMTP_DENY_NETWORKS": NOWHERE, "DOCSPACE_TEST_LIMIT": "0"}


@pytest.mark.parametrize("dialect", [dialect.name for dialect in protocols.discover()])
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_what_is_answered_is_in_the_document(dialect: str, client: FlaskClient, data: st.DataObject) -> None:
    call, how = data.draw(requests(dialect))
    signed_in = data.draw(st.booleans())
    response = client.open(**how, headers=credentials(client) if signed_in else {})
    said = call.operation["responses"].get(str(response.status_code))
    assert said is not None, f"{call} answered {response.status}, which the document does not name"
    assert media_of(response) in said.get("content", {NOTHING: {}}), f"{call} answered {response.content_type}"


def media_of(response: TestResponse) -> str:
    """The media type of a body."""
    return response.mimetype or "" if response.data else NOTHING
