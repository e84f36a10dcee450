"""The OpenAPI document (OpenAPI 3.1.0): one tag per dialect, one operation per endpoint."""

from collections.abc import Sequence
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

import mailsvc
from mailsvc.protocols import Dialect
from mailsvc.protocols.description import Answer, Description, Endpoint

VERSION = "3.1.0"


def make(dialects: Sequence[Dialect]) -> dict[str, Any]:
    """The document of ``dialects``; those that say nothing of themselves are left out."""
    marshmallow = MarshmallowPlugin()
    spec = APISpec(
        title="mailsvc",
        version=mailsvc.__version__,
        openapi_version=VERSION,
        plugins=[marshmallow],
        info={"description": "The mail control plane of one server."},
    )
    for dialect in dialects:
        if dialect.describe is not None:
            _add(spec, marshmallow, dialect.name, dialect.describe())
    document: dict[str, Any] = spec.to_dict()
    return document


def _add(spec: APISpec, marshmallow: MarshmallowPlugin, dialect: str, description: Description) -> None:
    spec.tag({"name": dialect, "description": f"**{description.title}.** {description.text}"})
    for name, scheme in description.schemes.items():
        spec.components.security_scheme(f"{dialect}_{name}", dict(scheme))
    for endpoint in description.endpoints:
        operation = _operation(marshmallow, dialect, endpoint)
        spec.path(path=endpoint.path, operations={endpoint.method: operation})


def _operation(marshmallow: MarshmallowPlugin, dialect: str, endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{dialect}_{endpoint.name}",
        "tags": [dialect],
        "summary": endpoint.summary,
        "responses": _responses(endpoint.answers),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.parameters:
        operation["parameters"] = [dict(parameter) for parameter in endpoint.parameters]
    if endpoint.security:
        operation["security"] = [{f"{dialect}_{name}": []} if name else {} for name in endpoint.security]
    body = _body(marshmallow, endpoint)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _body(marshmallow: MarshmallowPlugin, endpoint: Endpoint) -> dict[str, Any] | None:
    if endpoint.method == "get" or (endpoint.reads is None and not endpoint.also_reads):
        return None
    converter: Any = marshmallow.converter
    schema: dict[str, Any] = {"type": "object"}
    if endpoint.reads is not None:
        schema = dict(converter.schema2jsonschema(endpoint.reads))
    schema["properties"] = {**schema.get("properties", {}), **endpoint.also_reads}
    content: dict[str, Any] = {"schema": schema}
    if endpoint.example is not None:
        content["example"] = endpoint.example
    return {"required": endpoint.body_required, "content": dict.fromkeys(endpoint.media, content)}


def _responses(answers: Sequence[Answer]) -> dict[str, Any]:
    by_status: dict[str, Any] = {}
    for answer in answers:
        # Two answers with one status: the first describes it, the examples add up.
        response = by_status.setdefault(str(answer.status), {"description": answer.description})
        if answer.headers:
            response["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
            }
        if answer.media is not None:
            _content(response.setdefault("content", {}).setdefault(answer.media, {}), answer)
    return by_status


def _content(content: dict[str, Any], answer: Answer) -> None:
    if answer.shape is not None:
        content.setdefault("schema", dict(answer.shape))
    examples = {_key(name): {"summary": name, "value": body} for name, body in answer.examples.items()}
    if examples:
        content["examples"] = {**content.get("examples", {}), **examples}


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
