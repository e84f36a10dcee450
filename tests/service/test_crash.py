"""Killed workers, a killed service, a locked database, a full disk, a publication cut short.

In every case: what was acknowledged is there afterwards, what was refused is not, and the reply says which.
"""

import http.client
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.application import ROOT_SECRET
from tests.observation.exposition import counts
from tests.servers.knot import knot
from tests.service.calling import addmail, basic, call, mailboxes, perform
from tests.service.relay import relay
from tests.service.running import Service, serving, wait_until

BEFORE = {"old@example.com"}

FAILED = "An error occurred while adding mailbox: {}"


@dataclass
class Burst:
    """What became of many addmail calls at once."""

    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def call(self, service: Service, address: str) -> None:
        """One call, and its outcome. A broken connection says neither yes nor no."""
        try:
            code = addmail(service, address)["error"]
        except (OSError, http.client.HTTPException):
            self.unknown.add(address)
        else:
            (self.refused if code else self.acknowledged).add(address)

    def agrees_with(self, stored: set[str]) -> None:
        """Assert that the store is what the replies said."""
        assert self.acknowledged | BEFORE <= stored
        assert not self.refused & stored
        assert stored <= self.acknowledged | self.unknown | BEFORE


def burst(service: Service, disturb: Callable[[], None]) -> Burst:
    """Sixty calls from six callers, every fourth for a domain that is not there; ``disturb`` comes in the middle."""
    outcome = Burst()
    domains = ["example.com", "example.com", "example.com", "nowhere.test"]
    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(outcome.call, service, f"box{n}@{domains[n % 4]}") for n in range(60)]
        wait_until(lambda: len(outcome.acknowledged) >= 10, "some acknowledgements")
        assert not all(future.done() for future in calls)
        disturb()
        for future in calls:
            future.result()
    assert outcome.acknowledged and outcome.refused
    return outcome


def is_whole(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchall()
        return verdict == [("ok",)] and not connection.execute("PRAGMA foreign_key_check").fetchall()


def test_a_worker_killed_in_the_middle_of_a_burst(service: Service) -> None:
    victim, other = service.all_workers()
    outcome = burst(service, lambda: os.kill(victim, signal.SIGKILL))
    outcome.agrees_with(mailboxes(service))
    wait_until(lambda: len(service.workers() - {victim}) == 2, "another worker")
    assert other in service.workers()
    # Whoever was left without an answer asks again, and knows.
    again = {address: addmail(service, address)["error"] for address in outcome.unknown | outcome.acknowledged}
    assert {code for address, code in again.items() if address in outcome.acknowledged} == {1}
    assert set(again.values()) <= {0, 1, 4}
    assert {address for address, code in again.items() if code != 4} | BEFORE == mailboxes(service)
    assert is_whole(service.database)


def test_the_whole_service_killed_in_the_middle_of_a_burst(service: Service) -> None:
    service.all_workers()
    outcome = burst(service, service.kill)
    assert outcome.unknown
    with serving(service.data_dir) as again:
        outcome.agrees_with(mailboxes(again))
        assert addmail(again, "after@example.com")["error"] == 0
        counted = perform(again, "getlistmail", login="root", secret=ROOT_SECRET)["data"]
        assert mailboxes_of_owner(again.database) == len(counted) == len(mailboxes(again))
    assert is_whole(service.database)


def mailboxes_of_owner(database: Path) -> int:
    """The number that alice's limit is compared with."""
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("SELECT mailbox_count FROM panel_user WHERE name = 'alice'").fetchone()[0]
        return count


# A locked database


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process of this machine is writing, and does not come to an end."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_a_database_that_somebody_else_is_writing(service: Service) -> None:
    assert mailboxes(service) == BEFORE
    with ThreadPoolExecutor(1) as pool, locked(service.database):
        reply = pool.submit(addmail, service, "new@example.com")
        while not reply.done():
            # Whoever only reads is not held up.
            assert mailboxes(service) == BEFORE
            assert call(service, "GET", "/readyz").status == 200
            wait([reply], timeout=0.2)
    assert (reply.result()["error"], reply.result()["mess"]) == (3, FAILED.format("new@example.com"))
    assert mailboxes(service) == BEFORE
    assert addmail(service, "new@example.com")["error"] == 0
    assert mailboxes(service) == BEFORE | {"new@example.com"}


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", "size=3m,mode=0750", "mailsvc-test", str(directory)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill_up(directory: Path) -> Path:
    """A file that takes what is left."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk never became full")


def test_a_full_disk(small_disk: Path, sqlite_template: Path) -> None:
    shutil.copytree(sqlite_template, small_disk, dirs_exist_ok=True)
    with serving(small_disk) as service:
        workers = service.all_workers()
        outcome = Burst()
        for number in range(5):
            outcome.call(service, f"before{number}@example.com")
        assert len(outcome.acknowledged) == 5
        filler = fill_up(small_disk)
        for number in range(40):
            outcome.call(service, f"full{number}@example.com")
        assert len(outcome.refused) > 20 and not outcome.unknown
        reply = addmail(service, "full@example.com")
        assert (reply["error"], reply["mess"]) == (3, FAILED.format("full@example.com"))
        # Each operation is counted for the first time now, by each worker.
        for worker in workers:
            with service.only(worker):
                outcome.agrees_with(mailboxes(service))
                assert perform(service, "getforwardmail")["error"] == 1
                assert perform(service, "delmail", email="absent@example.com")["error"] == 1
                assert perform(service, "onspf", domain="example.com")["error"] == 2
                assert perform(service, "addforward", source="a@example.com", target="b@c.example")["error"] == 1
                assert call(service, "GET", "/healthz").status == 200
        assert service.all_workers() == workers
        metrics = call(service, "GET", "/metrics", headers=basic("root", ROOT_SECRET))
        assert counts(metrics.body.decode())["brainycp", "addmail", "3"] == len(outcome.refused) + 1
        filler.unlink()
        outcome.call(service, "after@example.com")
        assert "after@example.com" in outcome.acknowledged
        outcome.agrees_with(mailboxes(service))
        assert is_whole(service.database)


# A publication cut short


@dataclass(frozen=True)
class ZoneFile:
    """The include file of example.com, and a command for its reload that can be made to hang."""

    directory: Path

    @property
    def settings(self) -> dict[str, str]:
        """Settings of a service that publishes there; the reload command ends at once unless ``hang`` is there."""
        script = (
            f"[ -e {self.hang} ] || exit 0; echo $$ > {self.hung}.new; mv {self.hung}.new {self.hung}; exec sleep 600"
        )
        return {
            "DNS": "zonefile",
            "ZONEFILE_DIR": str(self.directory / "zones"),
            "ZONEFILE_RELOAD": shlex.join(["sh", "-c", script]),
        }

    @property
    def hang(self) -> Path:
        """While this file is there, the reload command does not end."""
        return self.directory / "hang"

    @property
    def hung(self) -> Path:
        """Holds the process number of the reload command that does not end."""
        return self.directory / "hung"

    def records(self) -> list[str]:
        """What a name server would read."""
        lines = (self.directory / "zones" / "example.com.zone").read_text().splitlines()
        return [line for line in lines if not line.startswith(";")]

    def cut(self, service: Service, operation: str) -> None:
        """Kill the service while it publishes or withdraws."""
        self.hang.touch()
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(perform, service, operation, domain="example.com")
            try:
                wait_until(self.hung.exists, "the reload command")
                service.kill()
            finally:
                self.hang.unlink()
                # Ours, in a session of its own: it does not go with the service.
                os.kill(int(self.hung.read_text()), signal.SIGKILL)
                self.hung.unlink()
        assert isinstance(reply.exception(), OSError | http.client.HTTPException)


@pytest.fixture
def zone(tmp_path: Path) -> ZoneFile:
    """An include file of this test's own."""
    return ZoneFile(tmp_path)


SPF = 'example.com. 300 IN TXT "v=spf1 mx ~all"'


def test_a_publication_cut_short_is_withdrawn_at_the_next_start(data_dir: Path, zone: ZoneFile) -> None:
    with serving(data_dir, zone.settings) as service:
        zone.cut(service, "onspf")
    assert zone.records() == [SPF]
    with serving(data_dir, zone.settings) as again:
        assert zone.records() == []
        assert perform(again, "offspf", domain="example.com")["error"] == 3
        assert perform(again, "onspf", domain="example.com")["error"] == 0
        assert zone.records() == [SPF]
        settled = [line["message"] for line in again.log_lines() if line["logger"] == "mailsvc.startup"]
        assert settled == ["reconciled example.com: settled"]


def test_a_withdrawal_cut_short_is_taken_back_at_the_next_start(data_dir: Path, zone: ZoneFile) -> None:
    with serving(data_dir, zone.settings) as service:
        assert perform(service, "onspf", domain="example.com")["error"] == 0
        zone.cut(service, "offspf")
    assert zone.records() == []
    with serving(data_dir, zone.settings) as again:
        assert zone.records() == [SPF]
        assert perform(again, "onspf", domain="example.com")["error"] == 3


def test_a_key_whose_publication_was_cut_short_is_published_as_it_was_made(data_dir: Path, zone: ZoneFile) -> None:
    with serving(data_dir, zone.settings) as service:
        zone.cut(service, "ondkim")
    (made,) = zone.records()
    with serving(data_dir, zone.settings) as again:
        assert zone.records() == []
        assert perform(again, "ondkim", domain="example.com")["error"] == 0
        assert zone.records() == [made]


def test_a_start_does_not_wait_for_a_name_server_that_fails(data_dir: Path, zone: ZoneFile) -> None:
    with serving(data_dir, zone.settings) as service:
        zone.cut(service, "onspf")
    failing = zone.settings | {"ZONEFILE_RELOAD": "false"}
    with serving(data_dir, failing) as again:
        assert mailboxes(again) == BEFORE
        assert "the reload command ended with status 1" in again.log.read_text()
    command = [sys.executable, "-m", "mailsvc", "reconcile"]
    done = subprocess.run(command, env=service.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "example.com: withdrawn\n"
    assert zone.records() == []


ZONE = """$ORIGIN example.com.
$TTL 3600
@   SOA ns1 hostmaster 1 3600 600 86400 60
@   NS  ns1
@   TXT "foreign"
ns1 A   127.0.0.1
"""


def test_an_update_of_which_nobody_heard_is_withdrawn_at_the_next_start(data_dir: Path) -> None:
    with knot({"example.com": ZONE}) as name_server, relay(name_server) as wire, ThreadPoolExecutor(1) as pool:
        settings = {
            "DNS": "rfc2136",
            "RFC2136_SERVER": wire.address,
            "RFC2136_KEY_NAME": name_server.key_name,
            "RFC2136_KEY_SECRET": name_server.key_secret,
        }
        with serving(data_dir, settings) as service:
            wire.withholds = lambda: len(name_server.txt("example.com")) == 2
            reply = pool.submit(perform, service, "onspf", domain="example.com")
            wait_until(wire.withholds, "the update")
            service.kill()
            assert isinstance(reply.exception(), OSError | http.client.HTTPException)
        wire.withholds = lambda: False
        assert name_server.txt("example.com") == ["foreign", "v=spf1 mx ~all"]
        with serving(data_dir, settings) as again:
            assert name_server.txt("example.com") == ["foreign"]
            assert perform(again, "offspf", domain="example.com")["error"] == 3
            assert perform(again, "onspf", domain="example.com")["error"] == 0
            assert name_server.txt("example.com") == ["foreign", "v=spf1 mx ~all"]
