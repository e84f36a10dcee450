"""Sieve scripts that users put in force through ManageSieve: sorting, vacation replies, redirection."""

import pytest

from tests.mailhost.host import SECRET, Host, subject
from tests.mailhost.managesieve import Refused, managesieve

_SORTING = """
require ["fileinto", "mailbox"];
if header :contains "Subject" "invoice" { fileinto :create "Bills"; }
"""

_VACATION = """
require ["vacation"];
vacation :days 1 :subject "Away" "Back on Monday.";
"""


def put(host: Host, address: str, script: str) -> None:
    """Put a script in force."""
    with managesieve(host.site.ports.sieve, host.tls(), address, SECRET) as session:
        session.put("mine", script)


def test_a_script_sorts_mail_from_its_activation_on(host: Host) -> None:
    host.add("sorted@example.org")
    host.send("sorted@example.org", "invoice 1")
    put(host, "sorted@example.org", _SORTING)
    host.send("sorted@example.org", "invoice 2")
    host.send("sorted@example.org", "hello")
    assert host.inbox("sorted@example.org") == ["invoice 1", "hello"]
    assert [subject(one) for one in host.messages("sorted@example.org", folder="Bills")] == ["invoice 2"]


def test_a_vacation_reply_goes_out_once_to_each_sender(host: Host) -> None:
    host.add("away.sieve@example.org", "asks@example.org")
    put(host, "away.sieve@example.org", _VACATION)
    for number in ("first", "second"):
        host.send("away.sieve@example.org", number, sender="asks@example.org")
        host.wait_for_delivery()
    assert host.inbox("away.sieve@example.org") == ["first", "second"]
    [reply] = host.messages("asks@example.org")
    assert subject(reply) == "Away"
    assert b"Back on Monday." in reply
    assert b"From: <away.sieve@example.org>" in reply
    assert b"Return-Path: <>" in reply, "it must never be answered"


def test_a_script_redirects(host: Host) -> None:
    host.add("passing@example.org", "reached@example.org")
    put(host, "passing@example.org", 'redirect "reached@example.org";')
    host.send("passing@example.org", "handed on")
    host.wait_for_delivery()
    assert (host.inbox("passing@example.org"), host.inbox("reached@example.org")) == ([], ["handed on"])


def test_a_broken_script_and_a_wrong_password_are_refused(host: Host) -> None:
    host.add("broken@example.org")
    with pytest.raises(Refused, match="error"):
        put(host, "broken@example.org", "keep; nonsense here;")
    with (
        pytest.raises(Refused, match="Authentication failed"),
        managesieve(host.site.ports.sieve, host.tls(), "broken@example.org", "Box-2"),
    ):
        pass


def test_a_script_cannot_notify_anybody_in_anybodys_name(host: Host) -> None:
    host.add("notifies@example.org")
    with pytest.raises(Refused, match=r"unknown Sieve capability .enotify'"):
        put(host, "notifies@example.org", 'require "enotify"; notify :from "ceo@example.org" "mailto:a@example.org";')


def test_a_new_mailbox_does_not_inherit_the_script_of_its_predecessor(host: Host) -> None:
    host.add("heir@example.org")
    put(host, "heir@example.org", 'require "fileinto"; fileinto "Junk";')
    assert host.call("delmail", email="heir@example.org") == 0
    host.add("heir@example.org")
    host.send("heir@example.org", "for the heir")
    assert host.inbox("heir@example.org") == ["for the heir"]
