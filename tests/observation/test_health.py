"""Is the process up, and can it serve: asked on both engines, of a store in every state."""

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

import config
from mailsvc.services.ports import Ports
from tests.application import ROOT_SECRET
from tests.observation.recording import recorded
from tests.servers.postgres import Postgres

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)

NOT_CURRENT = "the database is not at this version's schema\n"
NO_ANSWER = "the store does not answer\n"


def readiness(client: FlaskClient) -> tuple[int, str]:
    response = client.get("/readyz")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    return response.status_code, response.text


def is_up(client: FlaskClient) -> bool:
    response = client.get("/healthz")
    return (response.status_code, response.text) == (200, "ok\n")


def change(ports: Ports, statement: str) -> None:
    with ports.store.writing() as unit:
        unit.execute(sa.text(statement))


def test_a_service_that_can_serve(client: FlaskClient) -> None:
    assert is_up(client)
    assert readiness(client) == (200, "ready\n")


@pytest.mark.parametrize("revision", ["0000", "9999", ""])
def test_a_database_at_another_revision(client: FlaskClient, ports: Ports, revision: str) -> None:
    with ports.store.reading() as unit:
        head = unit.scalar(sa.text("SELECT version_num FROM alembic_version"))
    change(ports, f"UPDATE alembic_version SET version_num = '{revision}'")
    assert readiness(client) == (503, NOT_CURRENT)
    assert is_up(client)
    change(ports, f"UPDATE alembic_version SET version_num = '{head}'")
    assert readiness(client) == (200, "ready\n")


def test_a_database_without_a_revision(client: FlaskClient, ports: Ports) -> None:
    change(ports, "DELETE FROM alembic_version")
    assert readiness(client) == (503, NOT_CURRENT)


def test_a_database_without_our_tables(client: FlaskClient, ports: Ports) -> None:
    change(ports, "DROP TABLE alembic_version")
    assert readiness(client)[0] == 503
    assert is_up(client)


@SQLITE
@pytest.mark.parametrize("content", [b"not a database" * 1000, None])
def test_a_file_that_is_no_database(
    client: FlaskClient, ports: Ports, settings: config.Settings, content: bytes | None
) -> None:
    file = settings.database_file
    assert file
    ports.store.close()
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert readiness(client) == (503, NO_ANSWER)
    assert is_up(client)


@POSTGRESQL
def test_a_server_that_refuses(
    client: FlaskClient, ports: Ports, settings: config.Settings, postgres_server: Postgres
) -> None:
    assert readiness(client) == (200, "ready\n")
    postgres_server.drop(ports.store.engine.url.database or "")
    assert readiness(client) == (503, NO_ANSWER)
    assert is_up(client)


@SQLITE
def test_why_it_does_not_answer_is_for_the_log_alone(
    client: FlaskClient, ports: Ports, settings: config.Settings
) -> None:
    assert settings.database_file
    ports.store.close()
    settings.database_file.write_bytes(b"not a database" * 1000)
    with recorded() as log:
        response = client.get("/readyz")
    assert str(settings.database_file) not in response.text
    (failure,) = log.parsed("mailsvc.health")
    assert (failure["level"], failure["message"]) == ("error", "the store does not answer: DatabaseError")


@SQLITE
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_nobody_needs_credentials_to_ask(client: FlaskClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic cm9vdDp3cm9uZw=="}, {"Authorization": f"Bearer {ROOT_SECRET}"}):
        assert client.get(path, headers=headers).status_code == 200
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405
