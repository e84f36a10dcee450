"""A database that is locked for longer than anybody waits: the worker lives on, and nothing comes twice."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from config import Delivery, TcpAddress
from mailsvc.collector.worker import Worker
from mailsvc.services.ports import Ports
from tests.collector.programs import LIMIT, wait_until
from tests.servers.scripted import scripted, smtp
from tests.services.callers import found
from tests.services.collecting import Stage, message, new_user, subjects

PATIENCE = 0.2

IN_VAIN = "could not find out which visits are due"

rarely = pytest.mark.parametrize("more_settings", [{"COLLECT_INTERVAL": "3600"}])


@pytest.fixture
def hasty(staged: Stage) -> Stage:
    """A stage that waits for its turn to write for PATIENCE seconds only."""
    staged.ports.store.patience = PATIENCE
    return staged


@contextmanager
def working(staged: Stage) -> Iterator[None]:
    """A worker in a thread of this process."""
    worker = Worker(staged.ports, Delivery("lmtp", TcpAddress("127.0.0.1", staged.local.lmtp)))
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(LIMIT)


@rarely
def test_a_visit_that_is_due_meanwhile_is_made_afterwards(
    hasty: Stage, other_process: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    user = new_user()
    hasty.foreign.put(user, message("1"), "1")
    hasty.save(user)
    with ExitStack() as ended:
        with other_process.store.writing():
            ended.enter_context(working(hasty))
            wait_until(lambda: IN_VAIN in caplog.text, "a look in vain")
        wait_until(lambda: subjects(hasty.collected()) == ["1"], "the message")


@rarely
def test_news_that_come_meanwhile_are_not_forgotten(
    hasty: Stage, other_process: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    user = new_user()
    account = hasty.save(user)
    with working(hasty):
        wait_until(lambda: hasty.row(account)["visited_at"] and user in hasty.foreign.run("who", user), "a session")
        hasty.foreign.put(user, message("1"), "1")
        wait_until(lambda: subjects(hasty.collected()) == ["1"], "the first message")
        wait_until(lambda: hasty.row(account)["lease_holder"] is None, "the end of its visit")
        with other_process.store.writing():
            hasty.foreign.put(user, message("2"), "2")
            wait_until(lambda: IN_VAIN in caplog.text, "news in vain")
        wait_until(lambda: subjects(hasty.collected()) == ["1", "2"], "the second message")
        hasty.foreign.put(user, message("3"), "3")
        wait_until(lambda: subjects(hasty.collected()) == ["1", "2", "3"], "the third message")


def test_what_was_accepted_is_put_on_record_all_the_same(hasty: Stage, other_process: Ports) -> None:
    """To give up would bring it a second time."""
    begun = threading.Event()
    threads: list[threading.Thread] = []

    def hold() -> None:
        with other_process.store.writing():
            begun.set()
            threading.Event().wait(5 * PATIENCE)

    def reply(line: str) -> str | None:
        if line == "." and not threads:
            threads.append(threading.Thread(target=hold))
            threads[0].start()
            begun.wait(LIMIT)
        return None

    user = new_user()
    hasty.foreign.put(user, message("1"), "1")
    account = hasty.save(user)
    with scripted(lambda talk: smtp(talk, reply=reply)) as target:
        hasty.target = ("127.0.0.1", target.port)
        row = hasty.visit(account)
        threads[0].join(LIMIT)
        assert (row["collected"], row["last_error"]) == (1, None)
        hasty.visit(account)
    assert target.heard.count(b"Subject: 1") == 1
    assert found(hasty.ports, "SELECT count(*) FROM collected_message") == [(1,)]
