"""Metrics by dialect, operation and outcome: for root users only, added up over all processes."""

from collections import Counter

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from mailsvc.services import users
from mailsvc.services.ports import Ports
from tests.application import ALICE_SECRET, BOB_SECRET, ROOT_SECRET, act
from tests.observation.exposition import counts, samples
from tests.protocols.brainycp.panel import Panel, basic

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


ROOT = basic("root", ROOT_SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("root", "wrong"),
        basic("nobody", ROOT_SECRET),
        basic("", ""),
        basic("alice", ALICE_SECRET),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic cm9vdA=="},
        {"Authorization": f"Bearer {ROOT_SECRET}"},
    ],
)
def test_nobody_but_a_root_user_sees_them(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get(f"/metrics?username=root&password={ROOT_SECRET}", headers=headers)
    assert (response.status_code, response.text) == (401, "root credentials, please\n")
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_root_user_sees_them_as_text(client: FlaskClient) -> None:
    response = client.get("/metrics", headers=ROOT)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(response.text)}
    assert {"mailsvc_requests", "mailsvc_request_seconds"} <= names


def test_a_root_user_who_is_not_active_does_not(client: FlaskClient, ports: Ports) -> None:
    users.add(ports, act(), name="second", password="Second-1", role="root")
    assert client.get("/metrics", headers=basic("second", "Second-1")).status_code == 200
    users.disable(ports, act(), name="second")
    assert client.get("/metrics", headers=basic("second", "Second-1")).status_code == 401


def test_guesses_count_in_the_throttle_of_all_dialects(client: FlaskClient) -> None:
    for _ in range(5):
        client.get("/metrics", headers=basic("bob", "wrong"))
    assert Panel(client, "bob", BOB_SECRET).post("getlistmail")["error"] == 1000
    for _ in range(5):
        Panel(client, "root", "wrong").post("getlistmail")
    assert client.get("/metrics", headers=ROOT).status_code == 401


def test_what_is_counted(client: FlaskClient) -> None:
    before = counts(client.get("/metrics", headers=ROOT).text)
    panel = Panel(client)
    panel.post("addmail", email="new@example.com", password="Box-1", quota="0")
    panel.post("addmail", email="new@example.com", password="Box-1", quota="0")
    panel.post("addmail", email="new@nowhere.test", password="Box-1", quota="0")
    panel.post("getlistmail")
    panel.post("invented")
    client.get("/absent/anything")
    client.put("/mailclient/addmail")
    text = client.get("/metrics", headers=ROOT).text
    assert counts(text) - before == Counter({
        ("brainycp", "addmail", "0"): 1,
        ("brainycp", "addmail", "1"): 1,
        ("brainycp", "addmail", "4"): 1,
        ("brainycp", "getlistmail", "0"): 1,
        ("brainycp", "wrong", "1002"): 1,
        ("brainycp", "-", "2"): 1,
        ("-", "-", "404"): 1,
        ("-", "metrics", "200"): 1,
    })  # fmt: skip
    assert "invented" not in text and "absent" not in text


def test_times_are_counted_as_often_as_requests(client: FlaskClient) -> None:
    Panel(client).post("getlistmail")
    text = client.get("/metrics", headers=ROOT).text
    requests = Counter[tuple[str, str]]()
    for (dialect, operation, _), number in counts(text).items():
        requests[dialect, operation] += number
    times = {(labels["dialect"], labels["operation"]): int(value)
             for labels, value in samples(text, "mailsvc_request_seconds_count")}  # fmt: skip
    assert times == requests
