"""Panel users: names, roles, and that nobody shuts the last door behind himself."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mailsvc.core.acts import ROOT, USER
from mailsvc.core.refusals import (
    AlreadyExists,
    BadInput,
    LastRoot,
    NotSignedIn,
    NotYours,
    StillOwnsDomains,
    UnknownUser,
)
from mailsvc.services import domains, sign_in, users
from mailsvc.services.ports import Ports
from mailsvc.services.users import ListedUser
from tests.application import BOB_SECRET, act
from tests.services.callers import act_of, everything, last_audit_entry
from tests.vault.watched import watch


def add(ports: Ports, name: str, role: str = USER, **more: Any) -> None:
    users.add(ports, act(), name=name, role=role, **{"password": "Panel-3", **more})


def signs_in(ports: Ports, name: str, password: str) -> bool:
    try:
        sign_in.by_password(ports, name=name, password=password, address="192.0.2.1")
    except NotSignedIn:
        return False
    return True


def test_users_are_listed_by_name_with_all_but_their_passwords(ports: Ports) -> None:
    add(ports, "a-b", ROOT, email="a@b.example", language="ru", mailbox_limit=5)
    users.disable(ports, act(), name="bob")
    assert users.listed(ports) == [
        ListedUser("a-b", "root", True, "a@b.example", "ru", 0, 5),
        ListedUser("alice", "user", True, None, None, 1, None),
        ListedUser("bob", "user", False, None, None, 0, None),
        ListedUser("root", "root", True, None, None, 0, None),
    ]
    assert "Panel-3" not in repr(everything(ports))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["x", "x" * 64, "Ünï cødé", "a@b.example", "Alice", "0", "a%b_c", "'; --", "a/b"])
def test_a_name_is_almost_any_clean_text(ports: Ports, name: str) -> None:
    add(ports, name)
    assert name in {user.name for user in users.listed(ports)}
    assert signs_in(ports, name, "Panel-3")


BAD = [
    *(
        {"name": name}
        for name in ("", "x" * 65, " a", "a ", "a:b", "a\nb", "a\0b", "a\x7f", "\ud800", "\ufffd", "\u3000a")
    ),
    *({"role": role} for role in ("", "admin", "ROOT")),
    *({"language": language} for language in ("", "de", "EN")),
    *({"email": email} for email in ("", "a", "a@", "@b", "a b@c", "a@b@c", "a@b\n", "x" * 250 + "@b.cd")),
    *({"password": password} for password in ("", "x" * 257, "a\0b", "a\nb", "\ud800")),
]


def test_what_is_not_well_formed_is_refused_by_its_field(ports: Ports) -> None:
    before, watched = everything(ports), watch(ports.passwords)
    for values in BAD:
        with pytest.raises(BadInput) as refused:
            add(ports, **{"name": "carol", **values})
        assert [refused.value.facts["field"]] == list(values)
    assert everything(ports) == before
    assert watched.hashed == 0


def test_a_name_is_given_once(ports: Ports) -> None:
    add(ports, "carol")
    before = everything(ports)
    with pytest.raises(AlreadyExists) as refused:
        add(ports, "carol", ROOT)
    assert refused.value.facts == {"user": "carol"}
    assert everything(ports) == before


def test_a_user_who_owns_domains_is_not_removed(ports: Ports) -> None:
    domains.add(ports, act(), name="second.test", owner="bob")
    before = everything(ports)
    with pytest.raises(StillOwnsDomains) as refused:
        users.remove(ports, act(), name="bob")
    assert refused.value.facts == {"user": "bob", "domains": 2}
    assert everything(ports) == before
    for name in ("second.test", "bob.test"):
        domains.remove(ports, act(), name=name)
    users.remove(ports, act(), name="bob")
    assert [user.name for user in users.listed(ports)] == ["alice", "root"]
    assert last_audit_entry(ports)[4:] == ("bob", "done", 0)


def test_the_last_active_root_stays(ports: Ports) -> None:
    add(ports, "disabled", ROOT)
    users.disable(ports, act(), name="disabled")
    before = everything(ports)
    for change in (users.disable, users.remove):
        with pytest.raises(LastRoot) as refused:
            change(ports, act(), name="root")
        assert refused.value.facts == {"user": "root"}
    assert everything(ports) == before
    users.remove(ports, act(), name="disabled")
    add(ports, "second", ROOT)
    users.remove(ports, act(), name="root")
    with pytest.raises(LastRoot):
        users.disable(ports, act(), name="second")


@pytest.mark.parametrize("change", [users.disable, users.remove])
def test_two_roots_cannot_shut_each_other_out(ports: Ports, change: Callable[..., None]) -> None:
    add(ports, "second", ROOT)

    def attempt(name: str) -> bool:
        try:
            change(ports, act(), name=name)
        except LastRoot:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(attempt, ["root", "second"])) == [False, True]


def test_a_user_who_is_not_there_cannot_be_changed(ports: Ports) -> None:
    before = everything(ports)
    for name in ("carol", "Alice", "", "al\0ice"):
        for change in (users.enable, users.disable, users.remove):
            with pytest.raises(UnknownUser):
                change(ports, act(), name=name)
        with pytest.raises(UnknownUser):
            users.change_password(ports, act(), name=name, password="Panel-4")
    assert everything(ports) == before


def test_a_changed_password_is_the_only_one(ports: Ports) -> None:
    assert signs_in(ports, "bob", BOB_SECRET)
    users.change_password(ports, act(), name="bob", password="Panel-4")
    assert not signs_in(ports, "bob", BOB_SECRET)
    assert signs_in(ports, "bob", "Panel-4")
    before = everything(ports)
    with pytest.raises(BadInput):
        users.change_password(ports, act(), name="bob", password="")
    assert everything(ports) == before


def test_a_disabled_user_keeps_what_is_his_and_comes_back(ports: Ports) -> None:
    users.disable(ports, act(), name="bob")
    users.disable(ports, act(), name="bob")
    assert not signs_in(ports, "bob", BOB_SECRET)
    assert [domain.name for domain in domains.listed(ports, act_of(ports, "bob").acting)] == ["bob.test"]
    users.enable(ports, act(), name="bob")
    assert signs_in(ports, "bob", BOB_SECRET)


def test_root_acts_for_anybody_and_others_for_themselves(ports: Ports) -> None:
    root, alice, bob = (act_of(ports, name).acting for name in ("root", "alice", "bob"))
    assert users.acting_for(ports, root, "bob") == bob
    for caller in (root, alice):
        for himself in (None, "", caller.name):
            assert users.acting_for(ports, caller, himself) == caller
    with pytest.raises(UnknownUser):
        users.acting_for(ports, root, "carol")
    for other in ("bob", "carol", "Alice"):
        with pytest.raises(NotYours):
            users.acting_for(ports, alice, other)


def test_a_contact_address_is_one_users_in_any_case(ports: Ports) -> None:
    add(ports, "carol", email="C@Example.org")
    for email in ("C@Example.org", "c@example.ORG"):
        with pytest.raises(AlreadyExists) as refusal:
            add(ports, "dave", email=email)
        assert refusal.value.facts == {"email": email}
    add(ports, "dave")
    add(ports, "erin")
    users.remove(ports, act(), name="carol")
    add(ports, "frank", email="c@example.org")


def test_two_users_cannot_take_one_address_at_once(ports: Ports) -> None:
    def attempt(name: str) -> bool:
        try:
            add(ports, name, email="c@example.org")
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(attempt, ("carol", "dave", "erin"))) == [False, False, True]


def test_where_a_user_can_be_reached(ports: Ports) -> None:
    add(ports, "carol", email="C@Example.org")
    assert users.contact_address(ports, act_of(ports, "carol").acting) == "C@Example.org"
    assert users.contact_address(ports, act_of(ports, "alice").acting) is None
