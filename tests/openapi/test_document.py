"""The OpenAPI document: valid, complete, and true."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from mailsvc import protocols
from mailsvc.protocols.brainycp.operations import OPERATIONS

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

NOT_OF_A_DIALECT = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.content_type == "application/json; charset=utf-8"
    found: Any = response.json
    return dict(found)


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_so_is_every_schema_of_a_body(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            for carrier in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in carrier.get("content", {}).values():
                    Draft202012Validator.check_schema(content.get("schema", {}))


def test_every_dialect_is_in_it(document: dict[str, Any]) -> None:
    assert [tag["name"] for tag in document["tags"]] == [dialect.name for dialect in protocols.discover()]


def test_every_path_of_the_document_is_one_of_the_service(app: Flask, document: dict[str, Any]) -> None:
    adapter = app.url_map.bind("localhost")
    for path, item in document["paths"].items():
        for method in item:
            adapter.match(re.sub(r"\{[^}]*\}", "x", path), method=method.upper())


def test_every_operation_of_the_form_dialect_is_there(document: dict[str, Any]) -> None:
    for name, operation in OPERATIONS.items():
        post = document["paths"][f"/mailclient/{name}"]["post"]
        codes = {
            example["value"]["error"]
            for response in post["responses"].values()
            for example in response["content"]["application/json"]["examples"].values()
        }
        assert {outcome.code for outcome in operation.outcomes} <= codes
        properties = post["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]
        assert operation.schema.fields.keys() <= properties.keys()


def test_every_operation_may_fail_by_our_own_fault(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            assert "500" in operation["responses"], (path, list(operation["responses"]))


def test_the_login_of_dbvisit_names_no_refusal_of_the_calls(document: dict[str, Any]) -> None:
    for path in ("/api/login", "/api/logout"):
        responses = document["paths"][path]["post"]["responses"]
        texts = {
            example["value"]["error"]["message"]
            for status, response in responses.items()
            if status in ("400", "403")
            for example in response["content"]["application/json"]["examples"].values()
        }
        assert texts == {
            "request body is not valid JSON", "request body must be a JSON object", "cross-site request refused",
        }  # fmt: skip


def test_examples_have_the_shape_that_is_promised(document: dict[str, Any]) -> None:
    checked = 0
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        Draft202012Validator(content.get("schema", {})).validate(example["value"])
                        checked += 1
    assert checked > 100


def test_the_page_fetches_nothing_and_shows_every_operation(client: FlaskClient, document: dict[str, Any]) -> None:
    response = client.get("/docs")
    html = response.text
    assert response.content_type == "text/html; charset=utf-8"
    assert not re.search(r"(?:src|href)=[\"'](?!#|openapi\.json)|@import|url\(|<script", html)
    assert re.match(r"default-src 'none'; style-src 'sha256-", response.headers["Content-Security-Policy"])
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    assert all(f'id="{name}"' in html for name in names)
