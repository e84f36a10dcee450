"""The audit trail when the store does not take an entry."""

import logging

import pytest
from sqlalchemy.exc import DBAPIError

import config
from mailsvc.services import audit
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import last_audit_entry
from tests.store.locking import impatient, locked


def test_the_entry_of_a_failure_of_our_own_is_stored(ports: Ports) -> None:
    audit.refused(ports, act(), "new@example.com", outcome=audit.BROKEN, code=3)
    assert last_audit_entry(ports) == ("test", "test", "test", "mailsvc", "new@example.com", audit.BROKEN, 3)


def test_it_goes_to_the_log_while_the_database_is_locked(
    ports: Ports, settings: config.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """What failed because nobody gets a turn must not wait for one again."""
    before = last_audit_entry(ports)
    with locked(settings), caplog.at_level(logging.ERROR, "mailsvc.audit"):
        audit.refused(ports, act(), "new@example.com", outcome=audit.BROKEN, code=3)
    (line,) = caplog.records
    facts = line.facts  # type: ignore[attr-defined]
    assert (facts["caller"], facts["object"], facts["outcome"], facts["code"]) == (
        "test", "new@example.com", audit.BROKEN, 3,
    )  # fmt: skip
    assert last_audit_entry(ports) == before


def test_that_of_a_refusal_is_waited_for_and_not_lost_in_silence(ports: Ports, settings: config.Settings) -> None:
    impatient(ports.store)
    with locked(settings), pytest.raises(DBAPIError, match="lock"):
        audit.refused(ports, act(), "new@example.com", outcome="AlreadyExists", code=1)
