"""Calling a running service: the form dialect over a real connection, and bytes as they are."""

import json
import socket
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any
from urllib.parse import urlencode

from tests.application import ALICE_SECRET
from tests.service.running import LIMIT, Service

FORM = "application/x-www-form-urlencoded"
NO_HEADERS: Mapping[str, str] = {}

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    def wire(self) -> dict[str, Any]:
        """The object of the form dialect. Asserts what all its replies have in common."""
        assert self.headers["Content-Type"] == "application/json; charset=utf-8", self
        body: dict[str, Any] = json.loads(self.body.decode("utf-8"))
        assert list(body)[:4] == ["error", "mess", "code", "message"]
        assert (body["error"], body["mess"]) == (body["code"], body["message"])
        return body


def basic(name: str, secret: str) -> dict[str, str]:
    """The header that carries Basic credentials."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{secret}".encode()).decode()}


def call(
    service: Service,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Reply:
    """One request on a connection of its own. An iterable ``body`` is sent in chunks.

    As curl and urllib3 do, it reads the reply also when the service closed its end before the whole body was sent.
    """
    in_chunks = body is not None and not isinstance(body, bytes)
    with closing(service.connection()) as connection:
        with suppress(BrokenPipeError):
            connection.request(method, path, body, dict(headers), encode_chunked=in_chunks)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())


def post(
    service: Service, fields: Sequence[Pair], path: str = "/api/api.php", headers: Mapping[str, str] = NO_HEADERS
) -> Reply:
    """A form of exactly these fields, in this order."""
    return call(service, "POST", path, urlencode(fields).encode(), {"Content-Type": FORM, **headers})


def perform(
    service: Service,
    operation: str,
    *,
    login: str = "alice",
    secret: str = ALICE_SECRET,
    headers: Mapping[str, str] = NO_HEADERS,
    **fields: str,
) -> dict[str, Any]:
    """The reply's object to one operation, asked for in English; HTTP 200 is asserted."""
    whole = {"login": login, "pass": secret, "module": "mailclient", "subdo": operation, "language": "en", **fields}
    reply = post(service, list(whole.items()), headers=headers)
    assert reply.status == 200, reply
    return reply.wire()


def addmail(service: Service, address: str, **more: Any) -> dict[str, Any]:
    """The reply's object to addmail."""
    return perform(service, "addmail", email=address, password="Box-1", quota="0", **more)


def mailboxes(service: Service) -> set[str]:
    """What getlistmail shows to alice."""
    return set(perform(service, "getlistmail")["data"])


def raw(service: Service, sent: bytes) -> bytes:
    """Whatever comes back for these bytes until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), LIMIT) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received
