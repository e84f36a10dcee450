"""Sessions that are kept until their servers say that there is news."""

import threading

import pytest

from mailsvc.collector import idling as sessions_kept
from mailsvc.collector.idling import Idling
from mailsvc.courier import imap
from mailsvc.services import login_checks
from tests.collector.programs import LIMIT, wait_until
from tests.servers.dovecot_mail import PASSWORD
from tests.services.collecting import Stage, message, new_user


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_of_two_sessions_for_an_account_the_later_is_kept(staged: Stage) -> None:
    """The next visit may have logged in anew because the one before it had not put its session aside yet."""
    user, heard = new_user(), threading.Event()
    links, server = login_checks.links_of(staged.ports), staged.incoming(user)
    sessions = [imap.log_in(links, server, PASSWORD) for _ in range(2)]
    idling = Idling(lambda _: heard.set())
    idling.start()
    try:
        for session in sessions:
            session.examine()
            idling.keep(1, 0, session)
        wait_until(lambda: _connections(staged, user) == 1, "the end of the earlier session")
        assert len(idling) == 1
        staged.foreign.put(user, message("1"), "1")
        assert heard.wait(LIMIT)
    finally:
        idling.end()
    wait_until(lambda: not _connections(staged, user), "the end of the later session")


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_session_is_used_before_its_server_tires_of_it(staged: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next visit may be due in a day only."""
    monkeypatch.setattr(sessions_kept, "STILL_SECONDS", 0.0)
    heard = threading.Event()
    idling = Idling(lambda _: heard.set())
    idling.start()
    try:
        session = imap.log_in(login_checks.links_of(staged.ports), staged.incoming(new_user()), PASSWORD)
        session.examine()
        idling.keep(1, 0, session)
        assert heard.wait(LIMIT)
    finally:
        idling.end()


def _connections(staged: Stage, user: str) -> int:
    """How many the foreign server has of ``user``."""
    return sum(line.startswith(user) for line in staged.foreign.run("who", "-1", user).splitlines())
