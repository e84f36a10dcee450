"""Every call of this wire, with a secret wherever one can be sent."""

from collections.abc import Iterator

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.brainycp.panel import LISTS, WRITING, basic, form, multipart
from tests.protocols.canaries import Canaries


def calls(client: FlaskClient, ports: Ports, canaries: Canaries) -> Iterator[TestResponse]:
    """The replies to all of them."""
    secret = canaries.new()
    users.change_password(ports, act(), name="alice", password=secret)
    for operation in (*WRITING, *LISTS):
        path = f"/mailclient/{operation}"
        own = [("email", f"{operation}@example.com"), ("quota", "1"), ("domain", "example.com")]
        own += [("source", "s@example.com"), ("target", "t@b.example")]
        page = [("username", "alice"), ("password", secret), *own, ("password", canaries.new())]
        vendor = [("login", "alice"), ("pass", secret), *own, ("password", canaries.new())]
        yield form(client, page, path)
        yield form(client, vendor, path)
        yield client.post(path, **multipart(page))
        yield form(client, [*own, ("password", canaries.new())], path, headers=basic("alice", secret))
        yield client.get(path, query_string=dict(vendor))
        yield form(client, [*vendor, ("quota", canaries.new()), ("email", canaries.new())], path)
        yield form(client, [("login", "alice"), ("pass", canaries.new()), *own], path)
        yield form(client, [("login", canaries.new()), ("pass", "x"), *own], path)
        yield client.put(path, query_string={"login": "alice", "pass": secret, "password": canaries.new()})
