"""The test job among the service's processes: seen by all, lost with its own, and waited for by none."""

import json
import shutil
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from mailsvc.app import create_app
from mailsvc.services import tokens
from mailsvc.services.ports import Ports
from tests.application import act, settings_for
from tests.protocols.docspace.portal import SMTP, STATUS, TEST
from tests.servers.smtp import Peer, Sane, Scripted, scripted
from tests.service.running import Service, serving, wait_until


@pytest.fixture
def portal(sqlite_template: Path, tmp_path: Path) -> Iterator["Running"]:
    """A running service and the API key of its root user."""
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    ports: Ports = create_app(settings_for(data_dir)).extensions["mailsvc"]
    key = tokens.add_key(ports, act(), user="root")
    ports.store.close()
    with serving(data_dir) as service:
        yield Running(service, key)


class Running:
    """Calls a running service, on a connection of its own each time."""

    def __init__(self, service: Service, key: str) -> None:
        self.service = service
        self._headers = {"Authorization": key, "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The envelope of the answer, which has to be a good one."""
        connection: HTTPConnection = self.service.connection()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self._headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
            assert response.status == 200, answer
            return answer
        finally:
            connection.close()

    def save(self, port: int) -> None:
        """Point the portal at a server of this machine."""
        members = {"host": "127.0.0.1", "port": port, "senderAddress": "a@x.org", "senderDisplayName": "Portal"}
        self.call("POST", SMTP, members)


def silent(peer: Peer) -> None:
    """Says nothing for as long as it is listened to."""
    peer.wait_until_gone()


def begun(portal: Running, server: Scripted) -> dict[str, Any]:
    """The job, once it waits for the server."""
    portal.save(server.port)
    job: dict[str, Any] = portal.call("GET", TEST)["response"]
    wait_until(lambda: server.connections == 1, "a connection")
    return job


def test_every_process_sees_the_job(portal: Running) -> None:
    first, second = portal.service.all_workers()
    with scripted(silent) as server:
        with portal.service.only(first):
            job = begun(portal, server)
        for worker in (second, first):
            with portal.service.only(worker):
                for path in (STATUS, TEST):
                    seen = portal.call("GET", path)["response"]
                    assert (seen["id"], seen["status"], seen["completed"]) == (job["id"], "Connect to host", False)
        assert server.connections == 1


def test_the_job_outlives_its_request_and_is_told_by_another_process(portal: Running) -> None:
    first, second = portal.service.all_workers()
    with scripted(Sane()) as server:
        portal.save(server.port)
        with portal.service.only(first):
            job = portal.call("GET", TEST)["response"]
        seen: list[dict[str, Any]] = []

        def has_ended() -> bool:
            seen.append(portal.call("GET", STATUS)["response"])
            return bool(seen[-1]["completed"])

        with portal.service.only(second):
            # Only now may its own process go on, if it had not come to the end already.
            seen.append(portal.call("GET", STATUS)["response"])
        if not seen[-1]["completed"]:
            wait_until(has_ended, "the end of the test")
        assert (seen[-1]["id"], seen[-1]["percents"]) == (job["id"], 100)
        assert "response" not in portal.call("GET", STATUS)
    assert server.verbs.count("DATA") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nobody_who_ends_waits_for_the_job(portal: Running, number: signal.Signals) -> None:
    with scripted(silent) as server:
        begun(portal, server)
        assert portal.service.stop(number) == 0
        wait_until(portal.service.is_gone, "the end of every process")
        log = portal.service.log_lines()
    assert not [line for line in log if "traceback" in line]
    assert not [line for line in log if line["level"] in ("error", "critical")]


def test_a_reload_does_not_wait_for_the_job_either(portal: Running) -> None:
    before = set(portal.service.all_workers())
    with scripted(silent) as server:
        job = begun(portal, server)
        portal.service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not before & portal.service.workers(), "new workers")
        portal.service.all_workers()
        # Whoever did the job is gone with it; it counts as running until it was silent for long enough.
        assert portal.call("GET", STATUS)["response"]["id"] == job["id"]
    assert not [line for line in portal.service.log_lines() if "traceback" in line]
