"""The running service: its log is structured from the first line, and its metrics are those of all its processes."""

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.application import ROOT_SECRET
from tests.observation.exposition import counts
from tests.service.calling import basic, call, mailboxes, perform
from tests.service.running import Service, serving, wait_until


@pytest.fixture
def service(sqlite_template: Path, tmp_path: Path) -> Iterator[Service]:
    """A service of this test's own."""
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir) as running:
        yield running


def counted(service: Service) -> Counter[tuple[str, str, str]]:
    reply = call(service, "GET", "/metrics", headers=basic("root", ROOT_SECRET))
    assert reply.status == 200
    return counts(reply.body.decode())


def test_counts_are_added_up_over_all_workers_and_outlive_them(service: Service) -> None:
    first, second = service.all_workers()
    with service.only(first):
        for _ in range(3):
            mailboxes(service)
    with service.only(second):
        for _ in range(4):
            mailboxes(service)
        assert counted(service)["brainycp", "getlistmail", "0"] == 7
    with service.only(first):
        assert counted(service)["brainycp", "getlistmail", "0"] == 7
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(service.workers() - {first}) == 2, "another worker")
    mailboxes(service)
    assert counted(service)["brainycp", "getlistmail", "0"] == 8


def test_counts_begin_at_zero_with_every_start(service: Service) -> None:
    mailboxes(service)
    assert service.stop() == 0
    with serving(service.data_dir) as again:
        assert ("brainycp", "getlistmail", "0") not in counted(again)


def test_the_log_is_json_from_its_first_line_to_its_last(service: Service) -> None:
    mailboxes(service)
    perform(service, "getlistmail", secret="wrong")
    assert service.stop() == 0
    lines = service.log_lines()
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in lines)
    assert [line["outcome"] for line in lines if line["logger"] == "mailsvc.request"][-2:] == ["done", "NotSignedIn"]
    assert {"gunicorn.error", "mailsvc.request", "mailsvc.sign_in"} <= {line["logger"] for line in lines}


def test_the_log_is_text_when_asked_for(sqlite_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(sqlite_template, tmp_path / "data")
    with serving(data_dir, {"LOG_FORMAT": "text"}) as service:
        mailboxes(service)
        assert service.stop() == 0
    lines = service.log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+ (info|warning) +[a-z_.]+: ", line) for line in lines)
    assert len([line for line in lines if "operation=getlistmail caller=alice outcome=done code=0" in line]) == 1
