"""Logins and API keys: whom a token stands for, in every process, and when it no longer does."""

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import BadInput, NothingStored, NotSignedIn, UnknownUser
from mailsvc.services import sign_in, tokens, users
from mailsvc.services.ports import Ports
from mailsvc.services.tokens import DBVISIT, ONLYOFFICE, WEBITEL
from mailsvc.store.types import now
from tests.application import ALICE_SECRET, act
from tests.services.callers import act_of, checked, everything, found, last_audit_entry

MONTH = timedelta(days=30)


def user(ports: Ports, name: str = "alice") -> PanelUser:
    return act_of(ports, name).acting


def log_in(ports: Ports, name: str = "alice", *, kind: str = ONLYOFFICE, lifetime: timedelta = MONTH) -> str:
    token = tokens.new_token()
    tokens.begin(ports, checked(ports, name), kind=kind, token=token, lifetime=lifetime)
    return token


def holder(ports: Ports, token: str, *, kind: str = ONLYOFFICE, keys: bool = True) -> str | None:
    try:
        return tokens.holder(ports, token, kind=kind, keys=keys).name
    except NotSignedIn:
        return None


def pass_time(ports: Ports, lapse: timedelta) -> None:
    """Let everything that ends do so sooner."""
    milliseconds = lapse // timedelta(milliseconds=1)
    with ports.store.writing() as unit:
        for table in ("login_session", "api_key"):
            unit.execute(sa.text(f"UPDATE {table} SET expires_at = expires_at - :ms"), {"ms": milliseconds})


def test_a_token_stands_for_its_user_in_every_process(ports: Ports, other_process: Ports) -> None:
    token = log_in(ports)
    for process in (ports, other_process):
        assert tokens.holder(process, token, kind=ONLYOFFICE, keys=True) == user(ports)
        assert holder(process, token, keys=False) == "alice"
        assert holder(process, token[:-1]) is None
        assert holder(process, token.swapcase()) is None
        assert holder(process, "") is None
        assert holder(process, "\ud800\0") is None


def test_a_token_is_long_random_and_kept_only_as_its_digest(ports: Ports) -> None:
    token = log_in(ports)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token), "32 random bytes"
    assert len({tokens.new_token() for _ in range(100)}) == 100
    kept = repr(everything(ports))
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept


def test_each_wire_takes_its_own_kind(ports: Ports) -> None:
    token = log_in(ports, kind=WEBITEL)
    assert [holder(ports, token, kind=kind) for kind in (WEBITEL, DBVISIT, ONLYOFFICE)] == ["alice", None, None]
    assert not tokens.end(ports, token, kind=ONLYOFFICE)
    assert holder(ports, token, kind=WEBITEL) == "alice"


def test_a_login_ends_when_it_expires(ports: Ports) -> None:
    before = now()
    token = tokens.new_token()
    ends = tokens.begin(ports, checked(ports, "alice"), kind=ONLYOFFICE, token=token, lifetime=MONTH)
    assert before + MONTH <= ends <= now() + MONTH
    pass_time(ports, MONTH - timedelta(minutes=1))
    assert holder(ports, token) == "alice"
    pass_time(ports, timedelta(minutes=1))
    assert holder(ports, token) is None
    assert found(ports, "SELECT count(*) FROM login_session") == [(1,)]
    log_in(ports, "bob")
    assert found(ports, "SELECT user_id FROM login_session") == [(user(ports, "bob").id,)], "the expired one is gone"


def test_logging_out_ends_one_login(ports: Ports, other_process: Ports) -> None:
    first, second = log_in(ports), log_in(ports)
    assert tokens.end(ports, first, kind=ONLYOFFICE)
    assert not tokens.end(ports, first, kind=ONLYOFFICE)
    for process in (ports, other_process):
        assert holder(process, first) is None
        assert holder(process, second) == "alice"


def change_password(ports: Ports) -> None:
    users.change_password(ports, act(), name="alice", password="Panel-9")


def disable(ports: Ports) -> None:
    users.disable(ports, act(), name="alice")


def disable_and_enable(ports: Ports) -> None:
    disable(ports)
    users.enable(ports, act(), name="alice")


@pytest.mark.parametrize("change", [change_password, disable, disable_and_enable])
def test_a_change_of_the_user_ends_his_logins_at_once_in_every_process(
    ports: Ports, other_process: Ports, change: Callable[[Ports], None]
) -> None:
    token, bobs = log_in(ports), log_in(ports, "bob")
    assert holder(other_process, token) == "alice"
    change(ports)
    for process in (ports, other_process):
        assert holder(process, token) is None
        assert holder(process, bobs) == "bob"
    assert found(ports, "SELECT count(*) FROM login_session") == [(1,)]


def test_removing_a_user_takes_his_logins_and_keys_along(ports: Ports, other_process: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role="user")
    carol = checked(ports, "carol")
    token, key = log_in(ports, "carol"), tokens.add_key(ports, act(), user="carol")
    users.remove(ports, act(), name="carol")
    for process in (ports, other_process):
        assert (holder(process, token), holder(process, key)) == (None, None)
    assert found(ports, "SELECT (SELECT count(*) FROM login_session) + (SELECT count(*) FROM api_key)") == [(0,)]
    with pytest.raises(NotSignedIn):
        tokens.begin(ports, carol, kind=ONLYOFFICE, token="x", lifetime=MONTH)


@pytest.mark.parametrize("meanwhile", ["change_password", "disable"])
def test_no_login_begins_after_what_ends_them(ports: Ports, meanwhile: str) -> None:
    """The password was right, and then, before the login began, it was changed or its user shut out."""
    first = sign_in.checked(ports, name="alice", password=ALICE_SECRET, address="")
    if meanwhile == "disable":
        users.disable(ports, act(), name="alice")
    else:
        users.change_password(ports, act(), name="alice", password="New-1")
    for name in (None, "one"):
        with pytest.raises(NotSignedIn):
            tokens.begin(ports, first, kind=WEBITEL, token="x", lifetime=MONTH, name=name)
    assert found(ports, "SELECT count(*) FROM login_session") == [(0,)]


def test_a_key_stands_for_its_user_in_any_case(ports: Ports, other_process: Ports) -> None:
    key = tokens.add_key(ports, act(), user="alice")
    assert re.fullmatch(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}", key)
    for process in (ports, other_process):
        for spelt in (key, key.lower(), key.title()):
            assert holder(process, spelt) == "alice"
            assert holder(process, spelt, kind=WEBITEL) == "alice", "whoever takes keys takes those of everybody"
        assert holder(process, key, keys=False) is None
    assert key not in repr(everything(ports))
    assert last_audit_entry(ports)[4:6] == ("alice", "done")


def test_a_key_outlives_a_changed_password_and_rests_with_its_user(ports: Ports) -> None:
    key = tokens.add_key(ports, act(), user="alice")
    change_password(ports)
    assert holder(ports, key) == "alice"
    assert not tokens.end(ports, key, kind=ONLYOFFICE)
    disable(ports)
    assert holder(ports, key) is None
    users.enable(ports, act(), name="alice")
    assert holder(ports, key) == "alice"


def test_a_key_ends_when_it_was_told_to(ports: Ports) -> None:
    key, forever = tokens.add_key(ports, act(), user="alice", days=2), tokens.add_key(ports, act(), user="alice")
    pass_time(ports, timedelta(days=1, hours=23))
    assert holder(ports, key) == "alice"
    pass_time(ports, timedelta(hours=1))
    assert holder(ports, key) is None
    assert holder(ports, forever) == "alice"
    for days in (0, -1, tokens.MOST_DAYS + 1):
        with pytest.raises(BadInput):
            tokens.add_key(ports, act(), user="alice", days=days)


def test_keys_are_listed_without_themselves_and_revoked_by_number(ports: Ports, other_process: Ports) -> None:
    first, second = tokens.add_key(ports, act(), user="alice"), tokens.add_key(ports, act(), user="alice", days=1)
    listed = tokens.keys_of(ports, user="alice")
    assert [key.expires is None for key in listed] == [True, False]
    assert first not in repr(listed)
    assert tokens.keys_of(ports, user="bob") == []
    tokens.revoke_key(ports, act(), number=listed[0].id)
    assert (holder(other_process, first), holder(other_process, second)) == (None, "alice")
    assert [key.id for key in tokens.keys_of(ports, user="alice")] == [listed[1].id]
    with pytest.raises(NothingStored):
        tokens.revoke_key(ports, act(), number=listed[0].id)


def test_nobody_has_no_keys(ports: Ports) -> None:
    before = everything(ports)
    for refused in (lambda: tokens.add_key(ports, act(), user="nobody"), lambda: tokens.keys_of(ports, user="nobody")):
        with pytest.raises(UnknownUser):
            refused()
    assert everything(ports) == before


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_token_is_found_by_its_index(ports: Ports) -> None:
    for table in ("login_session", "api_key"):
        plan = found(ports, f"EXPLAIN QUERY PLAN SELECT user_id FROM {table} WHERE digest = 'x'")
        assert "SEARCH" in str(plan) and "SCAN" not in str(plan)
