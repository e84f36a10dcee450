"""Nothing stays of a login that has ended, of a user who was removed, or of a domain that was."""

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from mailsvc import startup
from mailsvc.core.acts import USER
from mailsvc.core.smtp_profile import INSTALLATION, SmtpProfile
from mailsvc.services import domains, scope, smtp_profiles, tokens, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.services.callers import checked, found

OF_A_USER = ("login_session", "api_key", "smtp_test_call")
OF_A_DOMAIN = ("smtp_profile", "settings_document")


def count(ports: Ports, table: str) -> int:
    ((number,),) = found(ports, f"SELECT count(*) FROM {table}")
    return int(number)


def log_in(ports: Ports, name: str, lifetime: timedelta = timedelta(days=1), kind: str = tokens.DBVISIT) -> str:
    token = tokens.new_token()
    tokens.begin(ports, checked(ports, name), kind=kind, token=token, lifetime=lifetime)
    return token


def test_a_login_makes_room_of_those_that_have_expired(ports: Ports) -> None:
    for kind in (tokens.DBVISIT, tokens.ONLYOFFICE, tokens.WEBITEL):
        log_in(ports, "alice", -timedelta(seconds=1), kind)
        assert count(ports, "login_session") == 1
    log_in(ports, "bob")
    log_in(ports, "bob")
    holders = "SELECT u.name FROM login_session JOIN panel_user u ON u.id = user_id"
    assert found(ports, holders) == [("bob",), ("bob",)]


def test_a_start_forgets_what_has_expired(app: Flask, ports: Ports) -> None:
    log_in(ports, "alice")
    log_in(ports, "alice", -timedelta(seconds=1))
    assert count(ports, "login_session") == 2
    startup.prepare(app)
    assert count(ports, "login_session") == 1


def test_a_removed_user_leaves_nothing(ports: Ports) -> None:
    users.add(ports, act(), name="carol", password="Panel-3", role=USER)
    for name in ("carol", "alice"):
        log_in(ports, name)
        tokens.add_key(ports, act(), user=name)
    with ports.store.writing() as unit:
        number = users.named(unit, "carol").id
        unit.exec_driver_sql(f"INSERT INTO smtp_test_call (user_id, at) VALUES ({number}, 1)")
    users.remove(ports, act(), name="carol")
    assert {table: count(ports, table) for table in OF_A_USER} == {
        "login_session": 1, "api_key": 1, "smtp_test_call": 0,
    }  # fmt: skip


def test_a_removed_domain_leaves_nothing(ports: Ports) -> None:
    smtp_profiles.change(ports, act(), INSTALLATION, lambda _: SmtpProfile(host="a.test"), "secret", subject="")
    for name in ("example.com", "bob.test"):
        with ports.store.writing() as unit:
            number = scope.domain(unit, act().acting, name).id
            of_domain, profile = smtp_profiles.scope_of_domain(number), SmtpProfile(host="b.test")
            smtp_profiles.write(unit, of_domain, lambda _, profile=profile: profile, b"sealed", domain_id=number)  # type: ignore[misc]
            place = {"id": number, "public": f"{number:024x}", "content": b"sealed"}
            statement = "INSERT INTO settings_document (domain_id, public_id, content) VALUES (:id, :public, :content)"
            unit.execute(sa.text(statement), place)
    domains.remove(ports, act(), name="example.com")
    assert {table: count(ports, table) for table in OF_A_DOMAIN} == {"smtp_profile": 2, "settings_document": 1}
    scopes = [row[0] for row in found(ports, "SELECT scope FROM smtp_profile ORDER BY scope")]
    assert scopes == [f"domain:{number}", INSTALLATION]


def test_a_disabled_user_keeps_his_keys_but_not_his_logins(ports: Ports) -> None:
    log_in(ports, "bob")
    tokens.add_key(ports, act(), user="bob")
    users.disable(ports, act(), name="bob")
    assert (count(ports, "login_session"), count(ports, "api_key")) == (0, 1)
