"""The test job: one at a time whoever asks, seen everywhere, and never ended by somebody who lost it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from mailsvc.core.refusals import TooOften
from mailsvc.services import smtp_tests, users
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_tests import SILENCE, WINDOW, Job, Superseded
from tests.application import act
from tests.services.callers import act_of, found


@pytest.fixture
def more_settings() -> dict[str, str]:
    return {"DOCSPACE_TEST_LIMIT": "3"}


def begin(ports: Ports, name: str = "root") -> smtp_tests.Begun:
    return smtp_tests.begin(ports, act_of(ports, name))


def pass_time(ports: Ports, lapse: timedelta) -> None:
    """Let what is on file be so much older."""
    milliseconds = lapse // timedelta(milliseconds=1)
    with ports.store.writing() as unit:
        unit.exec_driver_sql(f"UPDATE smtp_test SET progressed_at = progressed_at - {milliseconds}")
        unit.exec_driver_sql(f"UPDATE smtp_test_call SET at = at - {milliseconds}")


def test_the_life_of_a_job(ports: Ports, other_process: Ports) -> None:
    assert smtp_tests.look(ports) is None
    job, fresh = begin(ports)
    assert fresh and job == Job(job.id)
    smtp_tests.advance(ports, job.id, status="Half", percents=50)
    for process in (ports, other_process):
        assert smtp_tests.look(process) == Job(job.id, "Half", 50)
    smtp_tests.succeed(ports, job.id)
    assert smtp_tests.look(other_process) == Job(job.id, "Half", 100, completed=True)
    assert smtp_tests.look(ports) is None, "it was shown"


def test_a_failure_stays_where_it_happened(ports: Ports) -> None:
    job, _ = begin(ports)
    smtp_tests.advance(ports, job.id, status="Half", percents=50)
    smtp_tests.fail(ports, job.id, "no")
    assert smtp_tests.look(ports) == Job(job.id, "Half", 50, "no", completed=True)


def test_whoever_comes_later_joins(ports: Ports, other_process: Ports) -> None:
    job, _ = begin(ports)
    smtp_tests.advance(ports, job.id, status="Half", percents=50)
    assert begin(other_process, "alice") == (Job(job.id, "Half", 50), False)
    smtp_tests.succeed(ports, job.id)
    another, fresh = begin(other_process, "alice")
    assert fresh and another.id != job.id, "also when nobody asked what came of the last"


def test_of_many_at_once_one_is_to_do_it(ports: Ports, other_process: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role="user")
    callers = [(process, name) for name in ("root", "alice", "bob", "carol") for process in (ports, other_process)]
    with ThreadPoolExecutor(len(callers)) as pool:
        begun = list(pool.map(lambda caller: begin(*caller), callers))
    assert sum(fresh for _, fresh in begun) == 1
    assert len({job.id for job, _ in begun}) == 1


def test_of_many_who_ask_one_is_told_the_end(ports: Ports, other_process: Ports) -> None:
    job, _ = begin(ports)
    smtp_tests.fail(ports, job.id, "no")
    with ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(smtp_tests.look, [ports, other_process] * 3))
    assert [found for found in seen if found is not None] == [Job(job.id, error="no", completed=True)]


def test_silence_is_an_interruption(ports: Ports) -> None:
    job, _ = begin(ports)
    pass_time(ports, SILENCE - timedelta(seconds=1))
    smtp_tests.advance(ports, job.id, status="Half", percents=50)
    pass_time(ports, SILENCE - timedelta(seconds=1))
    assert smtp_tests.look(ports) == Job(job.id, "Half", 50)
    pass_time(ports, timedelta(seconds=1))
    assert smtp_tests.look(ports) == Job(job.id, "Half", 50, interrupted=True)
    assert smtp_tests.look(ports) is None


def test_who_was_overtaken_changes_nothing(ports: Ports) -> None:
    lost, _ = begin(ports)
    pass_time(ports, SILENCE)
    job, fresh = begin(ports)
    assert fresh and job.id != lost.id
    late: list[Callable[[], None]] = [
        lambda: smtp_tests.advance(ports, lost.id, status="Late", percents=99),
        lambda: smtp_tests.succeed(ports, lost.id),
        lambda: smtp_tests.fail(ports, lost.id, "late"),
    ]
    for change in late:
        with pytest.raises(Superseded):
            change()
    assert smtp_tests.look(ports) == Job(job.id)
    smtp_tests.succeed(ports, job.id)
    with pytest.raises(Superseded):
        smtp_tests.fail(ports, job.id, "what has ended has ended")


def test_the_limit_is_each_users_and_ends(ports: Ports) -> None:
    for _ in range(2):
        begin(ports)
    pass_time(ports, timedelta(minutes=5))
    begin(ports)
    for _ in range(2):
        with pytest.raises(TooOften) as refusal:
            begin(ports)
        assert 590 <= refusal.value.facts["seconds"] <= 600, "until the oldest of three is a quarter of an hour old"
    begin(ports, "alice")
    pass_time(ports, WINDOW - timedelta(minutes=5))
    begin(ports)
    assert len(found(ports, "SELECT * FROM smtp_test_call")) == 3, "what no longer counts is forgotten"


def test_calls_go_with_their_user(ports: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role="user")
    begin(ports, "carol")
    users.remove(ports, act(), name="carol")
    assert found(ports, "SELECT * FROM smtp_test_call") == []
