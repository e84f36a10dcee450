"""SMTP profiles as they are kept: by scope, whole or not at all, the password sealed for its place."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsvc.core.refusals import NotSignedIn
from mailsvc.core.smtp_profile import (
    INSTALLATION,
    PORTAL,
    SmtpProfile,
)
from mailsvc.services import smtp_profiles, tokens, users
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Keep
from mailsvc.vault.seals import CannotOpen
from tests.application import act
from tests.services.callers import checked, everything, found, last_audit_entry
from tests.smtp_profiles import profiles

ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
PROFILES = profiles(TEXTS)
PROFILE = SmtpProfile(host="smtp.example.com", username="panel")


def keep(
    ports: Ports, profile: SmtpProfile, password: str | Keep | None = Keep.STORED, scope: str = INSTALLATION
) -> None:
    smtp_profiles.change(ports, act(), scope, lambda _: profile, password, subject="names")


def password_of(ports: Ports, scope: str = INSTALLATION) -> str | None:
    kept = smtp_profiles.found(ports, scope)
    assert kept is not None
    return smtp_profiles.route(ports, scope, kept).password


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PROFILES)
def test_what_is_written_is_what_is_found(ports: Ports, profile: SmtpProfile) -> None:
    keep(ports, profile)
    kept = smtp_profiles.found(ports, INSTALLATION)
    assert (kept.profile if kept else SmtpProfile()) == profile


def test_nothing_is_stored_of_nothing(ports: Ports) -> None:
    keep(ports, SmtpProfile())
    keep(ports, SmtpProfile(), None)
    assert smtp_profiles.found(ports, INSTALLATION) is None


def test_an_idle_change_changes_nothing(ports: Ports) -> None:
    keep(ports, PROFILE, "secret")
    before = everything(ports)
    smtp_profiles.change(ports, act(), INSTALLATION, lambda profile: profile, Keep.STORED, subject="")
    after = everything(ports)
    assert after.pop("audit_entry") != before.pop("audit_entry")
    assert after == before


def test_the_password_stays_goes_and_comes(ports: Ports) -> None:
    keep(ports, PROFILE, "first")
    keep(ports, replace(PROFILE, host="other.test"))
    assert password_of(ports) == "first"
    keep(ports, PROFILE, "пароль \udcff")
    assert password_of(ports) == "пароль \udcff"
    keep(ports, PROFILE, None)
    assert password_of(ports) is None


@ON_SQLITE
def test_the_password_is_sealed_and_for_its_scope_alone(ports: Ports) -> None:
    keep(ports, PROFILE, "Canary-smtp")
    keep(ports, PROFILE, "Canary-other", PORTAL)
    rows = found(ports, "SELECT scope, password FROM smtp_profile ORDER BY scope")
    assert [scope for scope, _ in rows] == [INSTALLATION, PORTAL]
    assert all(b"Canary" not in sealed for _, sealed in rows)
    with ports.store.writing() as unit:
        unit.exec_driver_sql(
            "UPDATE smtp_profile SET password = (SELECT p.password FROM smtp_profile p WHERE p.scope = 'portal')"
            " WHERE scope = 'installation'"
        )
    with pytest.raises(CannotOpen):
        password_of(ports)
    assert password_of(ports, PORTAL) == "Canary-other"


@ON_SQLITE
def test_a_password_without_a_user_is_not_even_opened(ports: Ports) -> None:
    keep(ports, replace(PROFILE, username=""), "secret")
    ports.settings.key_file.unlink()
    assert password_of(ports) is None


def test_a_change_that_fails_changes_nothing(ports: Ports) -> None:
    keep(ports, PROFILE, "secret")
    before = everything(ports)

    def fail(_: SmtpProfile) -> Any:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        smtp_profiles.change(ports, act(), INSTALLATION, fail, "other", subject="")
    assert everything(ports) == before


def test_a_profile_is_forgotten_whole(ports: Ports) -> None:
    keep(ports, PROFILE, "secret")
    assert smtp_profiles.clear(ports, act(), INSTALLATION, subject="")
    assert not smtp_profiles.clear(ports, act(), INSTALLATION, subject="")
    assert found(ports, "SELECT * FROM smtp_profile") == []
    assert last_audit_entry(ports)[5] == "done"


@ON_SQLITE
@pytest.mark.parametrize("more_settings", [{"ALLOW_INVALID_CERTS": "1"}])
def test_the_administrator_can_switch_every_check_off(ports: Ports) -> None:
    keep(ports, PROFILE)
    kept = smtp_profiles.found(ports, INSTALLATION)
    assert kept and kept.profile.verify and not smtp_profiles.route(ports, INSTALLATION, kept).verify


def test_every_field_has_a_column() -> None:
    assert {field.name for field in fields(SmtpProfile)} == set(smtp_profiles._COLUMNS)


def test_a_token_shows_its_user_and_the_profile_in_one_look_up(ports: Ports) -> None:
    token, key = tokens.new_token(), tokens.add_key(ports, act(), user="alice")
    alice, day = checked(ports, "alice"), timedelta(days=1)
    tokens.begin(ports, alice, kind=tokens.ONLYOFFICE, token=token, lifetime=day)

    def seen(sent: str, kind: str = tokens.ONLYOFFICE) -> tuple[Any, ...]:
        return smtp_profiles.seen_by(ports, sent, PORTAL, kind=kind)

    keep(ports, PROFILE)
    assert seen(token) == seen(key) == (alice.user, None), "another scope's profile is not this one's"
    keep(ports, PROFILE, "secret", PORTAL)
    assert seen(token) == seen(key) == (alice.user, smtp_profiles.found(ports, PORTAL))
    for wrong in (token[:-1], key[:-1] + "!", ""):
        with pytest.raises(NotSignedIn):
            seen(wrong)
    with pytest.raises(NotSignedIn):
        seen(token, tokens.WEBITEL)
    users.disable(ports, act(), name="alice")
    for ended in (token, key):
        with pytest.raises(NotSignedIn):
            seen(ended)
