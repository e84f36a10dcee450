"""The worker as it is run: visits in time, news at once, one visit of an account at a time, a polite end."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailsvc.core.mail_accounts import IMAP, POP3
from mailsvc.services import accounts, leases
from mailsvc.store.types import now
from tests.collector.programs import collecting, once, settings_of, wait_until
from tests.service.running import serving
from tests.services.callers import found
from tests.services.collecting import Stage, keys, message, new_user, subjects

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def put(staged: Stage, user: str, *names: str) -> None:
    for name in names:
        staged.foreign.put(user, message(name), f"{user}-{name}")


def arrived(staged: Stage, *names: str) -> None:
    wait_until(lambda: subjects(staged.collected()) == sorted(names), f"{names}")


@on_sqlite
def test_new_mail_comes_at_once_where_the_server_can_say_so(staged: Stage) -> None:
    """The next visit would be in an hour."""
    user = new_user()
    account = staged.save(user)
    with collecting(settings_of(staged, COLLECT_INTERVAL="3600")) as worker:
        wait_until(lambda: staged.row(account)["visited_at"], "the first visit")
        put(staged, user, "1")
        arrived(staged, "1")
        put(staged, user, "2", "3")
        arrived(staged, "1", "2", "3")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    row = staged.row(account)
    assert (row["collected"], row["last_error"], row["lease_holder"]) == (3, None, None)


@on_sqlite
@pytest.mark.parametrize("protocol", [IMAP, POP3])
def test_visits_come_again_in_time(staged: Stage, protocol: str) -> None:
    user = new_user()
    put(staged, user, "1")
    account = staged.save(user, protocol)
    with collecting(settings_of(staged, COLLECT_INTERVAL="1")):
        arrived(staged, "1")
        first = staged.row(account)["visited_at"]
        wait_until(lambda: (staged.row(account)["visited_at"] or 0) > (first or 0), "another visit")
        put(staged, user, "2")
        arrived(staged, "1", "2")


@on_sqlite
def test_a_session_that_waits_for_news_ends_with_the_account(staged: Stage) -> None:
    user = new_user()
    account = staged.save(user)

    def sessions() -> int:
        return staged.foreign.run("who", user).count(user)

    with collecting(settings_of(staged, COLLECT_INTERVAL="3600")):
        wait_until(lambda: staged.row(account)["visited_at"] and sessions(), "a session")
        accounts.disable(staged.ports, staged.alice, email=user)
        wait_until(lambda: not sessions(), "the end of the session")


def test_several_workers_visit_an_account_one_at_a_time(staged: Stage) -> None:
    users = [new_user() for _ in range(6)]
    names = [f"{index}-{number}" for index in range(len(users)) for number in range(30)]
    for index, user in enumerate(users):
        put(staged, user, *(name for name in names if name.startswith(f"{index}-")))
        staged.save(user, POP3 if index % 2 else IMAP)
    with ExitStack() as ended:
        for _ in range(3):
            ended.enter_context(collecting(settings_of(staged, COLLECT_INTERVAL="1")))
        wait_until(lambda: len(staged.collected()) >= len(names), "every message")
        all_counted = "SELECT count(*) FROM external_account WHERE collected = 30"
        wait_until(lambda: found(staged.ports, all_counted) == [(6,)], "counts")
    assert sorted(subjects(staged.collected())) == sorted(names)
    assert len(set(keys(staged.collected()))) == len(names)


@on_sqlite
def test_a_lease_outlives_a_stranger_and_not_a_dead_worker(staged: Stage) -> None:
    account = staged.save(new_user())
    stranger = "another-machine/1/2/3"
    [row] = leases.due(staged.ports, stranger, moment=now(), most=10)
    assert (row.id, row.lease_holder) == (account, stranger)
    leases.release_of_the_dead(staged.ports)
    assert staged.row(account)["lease_holder"] == stranger
    assert leases.due(staged.ports, "me", moment=now(), most=10) == []
    assert [row.id for row in leases.due(staged.ports, "me", moment=now() + leases.PERIOD, most=10)] == [account]

    mine = leases.new_holder()
    assert not leases.is_dead(mine)
    child = os.fork()
    if child == 0:
        os._exit(0)
    gone = mine.split("/")
    gone[1] = str(child)
    os.waitpid(child, 0)
    with staged.ports.store.writing() as unit:
        unit.exec_driver_sql(f"UPDATE external_account SET lease_holder = '{'/'.join(gone)}'")
    leases.release_of_the_dead(staged.ports)
    assert staged.row(account)["lease_holder"] is None


@on_sqlite
def test_those_that_wait_longest_come_first(staged: Stage) -> None:
    numbers = [staged.save(new_user()) for _ in range(12)]
    with staged.ports.store.writing() as unit:
        for place, number in enumerate(reversed(numbers)):
            unit.exec_driver_sql(f"UPDATE external_account SET next_visit_at = {place} WHERE id = {number}")
    first = [row.id for row in leases.due(staged.ports, "a", moment=now(), most=10)]
    assert first == list(reversed(numbers))[:10]
    assert [row.id for row in leases.due(staged.ports, "b", moment=now(), most=10)] == [numbers[1], numbers[0]]


@on_sqlite
def test_once(staged: Stage) -> None:
    users = [new_user(), new_user(), new_user()]
    for user in users[:2]:
        put(staged, user, f"of {user}")
    for user in users:
        staged.save(user)
    accounts.disable(staged.ports, staged.alice, email=users[1])
    printed = once(settings_of(staged))
    assert users[0] in printed and users[2] in printed and users[1] not in printed
    assert subjects(staged.collected()) == [f"of {users[0]}"]
    once(settings_of(staged))
    assert len(staged.collected()) == 1


@on_sqlite
def test_the_worker_runs_beside_the_web_processes_and_ends_with_them(staged: Stage, tmp_path: Path) -> None:
    user = new_user()
    put(staged, user, "1")
    staged.save(user)
    staged.ports.store.close()
    data_dir = staged.ports.settings.data_dir
    delivery = f"lmtp://127.0.0.1:{staged.local.lmtp}"
    with serving(data_dir, {"LOCAL_DELIVERY": delivery, "COLLECT_INTERVAL": "1"}) as service:
        arrived(staged, "1")
        [worker] = _workers(service.pid)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: _workers(service.pid) not in ([], [worker]), "another worker")
        put(staged, user, "2")
        arrived(staged, "1", "2")
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(60)
        wait_until(lambda: not _workers(service.pid), "the end of the worker")


def test_without_a_place_to_deliver_to_no_worker_runs(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as service:
        assert _workers(service.pid) == []


def _workers(session: int) -> list[int]:
    """The collecting workers in the session of a service."""
    workers = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"collect" in words and int(fields[3]) == session and fields[0] != "Z":
            workers.append(int(path.name))
    return workers
