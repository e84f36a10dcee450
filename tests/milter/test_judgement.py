"""Verdicts where no server is needed: what is broken, and what is logged, on either engine."""

import logging
import re
from typing import Any

import pytest
from sqlalchemy import text

from config import TcpAddress
from mailsvc.core.addresses import mail_address
from mailsvc.milter.judgement import Judge
from mailsvc.milter.messages import Message, Verdict
from mailsvc.services import dkim, forwards
from mailsvc.services.ports import Ports
from tests.application import act
from tests.servers import free_port

OLD = "old@example.com"


@pytest.fixture
def more_settings() -> dict[str, str]:
    """Nobody answers about quotas."""
    return {"QUOTA_STATUS": str(TcpAddress("127.0.0.1", free_port()))}


def message(*headers: tuple[str, str], login: str | None = OLD) -> Message:
    made = Message(login, recipients=[OLD])
    for name, value in headers:
        made.add_header(name.encode(), value.encode())
    made.add_body(b"Hello\r\n")
    return made


def facts(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """What the only verdict left in the log."""
    [record] = [record for record in caplog.records if record.getMessage() == "message"]
    found: dict[str, Any] = record.__dict__["facts"]
    return found


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_signed_by_the_domain_of_from(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    dkim.enable(ports, act(), domain="example.com")
    verdict = Judge(ports).verdict(message(("From", f" {OLD}")))
    assert verdict.reply is None
    [signature] = verdict.signatures
    assert b" d=example.com;" in signature and b" s=mail;" in signature
    assert (facts(caplog)["verdict"], facts(caplog)["selectors"]) == ("signed", "mail/rsa")


def test_signed_by_every_domain_that_from_names(ports: Ports) -> None:
    for domain in ("example.com", "bob.test"):
        dkim.enable(ports, act(), domain=domain)
    source, target = mail_address("sales@bob.test"), mail_address(OLD)
    forwards.add(ports, act(), source=source, targets=[target], keep_local=False)
    verdict = Judge(ports).verdict(message(("From", f" {OLD}, Sales <sales+x@bob.test>"), ("Sender", f" {OLD}")))
    assert [re.findall(rb" d=([^;]+);", one) for one in verdict.signatures] == [[b"bob.test"], [b"example.com"]]


def test_without_a_published_key_it_passes_as_it_is(ports: Ports) -> None:
    assert Judge(ports).verdict(message(("From", f" {OLD}"))) == Verdict()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "no From"),
        ([("From", f" {OLD}"), ("FROM\t", f" {OLD}")], "several From"),
        ([("From", f" {OLD}, someone@bob.test")], "foreign From"),
        ([("From", f" {OLD}"), ("Sender", " someone@bob.test")], "foreign Sender"),
        ([("From", f" {OLD}"), ("Sender", f" {OLD}, {OLD}")], "unclear Sender"),
        ([("From", " friends: old@example.com;")], "unclear From"),
        ([("From", f" {OLD}"), ("Subject", " x\rFrom: someone@bob.test")], "bare CR"),
        ([("From", f" {OLD}"), *[("X", "x" * 1000)] * 1100], "long headers"),
    ],
)
def test_what_is_not_clearly_his_is_refused(
    ports: Ports, caplog: pytest.LogCaptureFixture, headers: list[tuple[str, str]], reason: str
) -> None:
    verdict = Judge(ports).verdict(message(*headers))
    assert verdict.reply is not None and verdict.reply.startswith("550 5.7.1 ") and verdict.reply.isascii()
    assert (facts(caplog)["verdict"], facts(caplog)["reason"]) == ("550 5.7.1", reason)
    assert "someone" not in str(facts(caplog))


@pytest.mark.parametrize("login", [None, OLD])
def test_a_quota_that_nobody_knows_lets_mail_pass(
    ports: Ports, caplog: pytest.LogCaptureFixture, login: str | None
) -> None:
    with ports.store.writing() as unit:
        unit.execute(text("UPDATE mailbox SET quota_mib = 1"))
    judge = Judge(ports)
    incoming = message(("From", f" {OLD}"), login=login)
    assert judge.verdict(incoming) == Verdict()
    assert facts(caplog)["quota"] == "unknown"
    assert "Connection refused" in caplog.text
    assert judge.recipient(incoming, OLD) is None


@pytest.mark.parametrize("login", [None, OLD])
def test_who_leads_to_nobody_is_refused_when_named(ports: Ports, login: str | None) -> None:
    source, target = mail_address("sales@example.com"), mail_address("removed@example.com")
    forwards.add(ports, act(), source=source, targets=[target], keep_local=False)
    judge, begun = Judge(ports), Message(login)
    reply = "550 5.1.1 <Sales+x@example.com>: nobody receives what is sent to this address"
    assert judge.recipient(begun, "Sales+x@example.com") == reply
    assert judge.recipient(begun, OLD) is None
    assert judge.recipient(begun, "someone@elsewhere.test") is None


def test_a_broken_database_delays_users_and_lets_others_pass(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    with ports.store.writing() as unit:
        unit.execute(text("DROP VIEW postfix_alias"))
    judge = Judge(ports)
    incoming = message(("From", " someone@elsewhere.test"), login=None)
    assert judge.verdict(incoming) == Verdict()
    assert judge.recipient(incoming, OLD) is None
    caplog.clear()
    delayed = judge.verdict(message(("From", f" {OLD}"))).reply
    assert delayed is not None and delayed.startswith("451 4.7.1 ")
    assert facts(caplog)["verdict"] == "failed"
    assert "postfix_alias" in caplog.text
