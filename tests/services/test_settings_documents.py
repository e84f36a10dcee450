"""Documents of settings: whose login means which, and the profile that goes with each."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailsvc.core.acts import ROOT, PanelUser
from mailsvc.core.refusals import BadInput, NotSignedIn, NotYours, Refusal, UnknownDomain
from mailsvc.core.smtp_profile import SmtpProfile
from mailsvc.services import domains, settings_documents, smtp_profiles, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.settings_documents import Found, Login, Way
from tests.application import act
from tests.services.callers import checked

MONTH = timedelta(days=30)


def begin(ports: Ports, name: str, key: str, token: str = "shared") -> None:
    tokens.begin(ports, checked(ports, name), kind=tokens.WEBITEL, token=token, lifetime=MONTH, name=key)


def of_login(ports: Ports, key: str, token: str = "shared", kind: str = tokens.WEBITEL) -> Login:
    return settings_documents.of_login(ports, key, token, kind=kind)


def test_a_named_session_needs_name_and_token(ports: Ports) -> None:
    begin(ports, "alice", "one")
    begin(ports, "bob", "two")
    assert (of_login(ports, "one").user.name, of_login(ports, "two").user.name) == ("alice", "bob")
    for name, token, kind in (
        ("one", "other", tokens.WEBITEL), ("three", "shared", tokens.WEBITEL), ("one", "shared", tokens.DBVISIT),
    ):  # fmt: skip
        with pytest.raises(NotSignedIn):
            of_login(ports, name, token, kind)
    assert tokens.end(ports, "shared", kind=tokens.WEBITEL, name="one")
    assert of_login(ports, "two").user.name == "bob"
    with pytest.raises(NotSignedIn):
        of_login(ports, "one")


def meant(ports: Ports, key: str, wanted: str | None) -> str | type[Refusal]:
    try:
        return settings_documents.found(ports, of_login(ports, key), wanted).domain.name
    except Refusal as refusal:
        return type(refusal)


def test_whoever_owns_one_domain_means_it_and_others_have_to_say(ports: Ports) -> None:
    for user in ("alice", "root"):
        begin(ports, user, user)
    assert [meant(ports, "alice", wanted) for wanted in (None, "bob.test", "nowhere.test")] == ["example.com"] * 3
    domains.add(ports, act(), name="a.test", owner="alice")
    domains.add(ports, act(), name="b.test", owner="alice")
    assert [meant(ports, "alice", wanted) for wanted in ("a.test", "b.test", "example.com")] == [
        "a.test", "b.test", "example.com",
    ]  # fmt: skip
    assert [meant(ports, "alice", wanted) for wanted in (None, "bob.test", "nowhere.test")] == [
        BadInput, NotYours, NotYours,
    ]  # fmt: skip
    for name in ("a.test", "b.test", "example.com"):
        domains.give(ports, act(), name=name, owner="bob")
    assert [meant(ports, "alice", wanted) for wanted in (None, "example.com")] == [BadInput, NotYours]
    domains.add(ports, act(), name="own.test", owner="root")
    assert [meant(ports, "root", wanted) for wanted in (None, "bob.test", "nowhere.test")] == [
        BadInput, "bob.test", UnknownDomain,
    ]  # fmt: skip


def example(ports: Ports) -> Found:
    return settings_documents.found(ports, Login(PanelUser(0, "root", ROOT), ()), "example.com")


def way(host: str) -> Way:
    return Way(SmtpProfile(host=host, username="n"), f"password of {host}")


def save(ports: Ports, one: Found, text: bytes, host: str, *, same_way: Callable[[bytes], bool]) -> None:
    settings_documents.save(ports, act(), one, text, lambda: way(host), same_way=same_way)


def kept(ports: Ports) -> smtp_profiles.Kept:
    found = smtp_profiles.effective(ports, domain="example.com")
    assert found
    assert smtp_profiles.route(ports, *found).password == f"password of {found[1].profile.host}"
    return found[1]


def test_a_way_that_is_the_same_is_left_as_it_is(ports: Ports) -> None:
    save(ports, example(ports), b'{"n":1}', "one.test", same_way=lambda _: False)
    before = kept(ports)
    save(ports, example(ports), b'{"n":2}', "one.test", same_way=lambda _: True)
    assert settings_documents.opened(ports, example(ports))[1] == b'{"n":2}'
    assert kept(ports) == before, "not even sealed anew"


def test_the_same_way_of_a_document_that_came_between_stays(ports: Ports) -> None:
    save(ports, example(ports), b'{"n":1}', "one.test", same_way=lambda _: False)
    read, before = example(ports), kept(ports)
    save(ports, read, b'{"n":2}', "one.test", same_way=lambda _: True)
    seen: list[bytes] = []

    def is_same(text: bytes) -> bool:
        seen.append(text)
        return True

    save(ports, read, b'{"n":3}', "one.test", same_way=is_same)
    assert seen == [b'{"n":1}', b'{"n":2}'], "asked again, of the one that came between"
    assert settings_documents.opened(ports, example(ports))[1] == b'{"n":3}'
    assert kept(ports) == before


def test_the_way_of_a_document_that_came_between_does_not_stay(ports: Ports) -> None:
    save(ports, example(ports), b'{"n":1}', "one.test", same_way=lambda _: False)
    read = example(ports)
    save(ports, read, b'{"n":2}', "two.test", same_way=lambda _: False)
    save(ports, read, b'{"n":3}', "one.test", same_way=lambda text: text == b'{"n":1}')
    assert settings_documents.opened(ports, example(ports))[1] == b'{"n":3}'
    assert kept(ports).profile.host == "one.test"
