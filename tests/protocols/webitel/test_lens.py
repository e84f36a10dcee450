"""From the document to a profile: each row of the contract's section 8, and the laws of the lens."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS, SmtpProfile
from mailsvc.protocols.webitel import addresses, lens
from mailsvc.protocols.webitel.outcomes import CannotSend
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports
from tests.protocols.webitel.web_client import SETTINGS, WebClient


def setup(**options: Any) -> lens.Setup:
    return lens.setup({"provider": "smtp", "options": options})


def refused(**options: Any) -> tuple[str, str]:
    with pytest.raises(CannotSend) as refusal:
        setup(**options)
    return refusal.value.facts["info"], refusal.value.facts["code"]


@pytest.mark.parametrize("host", [None, "", 5, {}, True])
def test_no_host_is_this_one(host: Any) -> None:
    assert setup(host=host).profile.host == setup().profile.host == "localhost"


@pytest.mark.parametrize(
    ("options", "port", "security"),
    [
        ({}, 25, OPPORTUNISTIC),
        ({"port": None}, 25, OPPORTUNISTIC),
        ({"port": 0}, 25, OPPORTUNISTIC),
        ({"port": ""}, 25, OPPORTUNISTIC),
        ({"port": "587"}, 587, OPPORTUNISTIC),
        ({"port": 587.0}, 587, OPPORTUNISTIC),
        ({"port": 465}, 465, TLS),
        ({"port": "465"}, 465, TLS),
        ({"port": 465, "secure": False}, 465, OPPORTUNISTIC),
        ({"port": 465, "secure": None}, 465, OPPORTUNISTIC),
        ({"secure": True}, 465, TLS),
        ({"secure": "false"}, 465, TLS),
        ({"secure": {}, "port": 25}, 25, TLS),
        ({"secure": 0}, 25, OPPORTUNISTIC),
        ({"ignoreTLS": True}, 25, PLAIN),
        ({"requireTLS": 1}, 25, STARTTLS),
        ({"requireTLS": True, "ignoreTLS": True}, 25, PLAIN),
        ({"requireTLS": True, "secure": True}, 465, TLS),
    ],
)
def test_port_and_security(options: dict[str, Any], port: int, security: str) -> None:
    profile = setup(**options).profile
    assert (profile.port, profile.security) == (port, security)


@pytest.mark.parametrize(
    "port", [-1, 65536, 1.5, "x", " 25", "-5", "٣", "1e3", True, False, [], {}, 10**30, "99999999999"]
)
def test_a_port_that_is_none(port: Any) -> None:
    assert refused(port=port) == ("Bad port.", "ECONNECTION")


@pytest.mark.parametrize("value", [None, True, 0, "false", "", {}])
def test_certificates_are_checked_unless_the_document_says_false(value: Any) -> None:
    assert setup(tls={"rejectUnauthorized": value}).profile.verify
    assert setup(tls=value).profile.verify
    assert setup().profile.verify
    assert not setup(tls={"rejectUnauthorized": False}).profile.verify


@pytest.mark.parametrize("auth", [None, False, "", "user", [], 5, {}, {"user": ""}, {"user": None, "pass": "x"}])
def test_no_user_is_no_authentication(auth: Any) -> None:
    found = setup(auth=auth, authMethod="nonsense")
    assert (found.profile.username, found.password, found.profile.mechanism) == ("", None, None)


def test_authentication() -> None:
    found = setup(auth={"user": "u", "pass": "p"}, authMethod=" cram-md5 ")
    assert (found.profile.username, found.password, found.profile.mechanism) == ("u", "p", "CRAM-MD5")
    assert setup(auth={"user": "u"}).password == ""
    assert setup(auth={"user": 5, "pass": 6}).password == "6"
    assert setup(auth={"user": "u"}, authMethod="").profile.mechanism is None
    for name, shown in (("ntlm", "NTLM"), (5, "5")):
        said = refused(auth={"user": "u"}, authMethod=name)
        assert said == (f'Unknown authentication method "{shown}"', "EAUTH")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 15.0), (0, 15.0), (-1, 15.0), (True, 15.0), ("5000", 15.0), (5000, 5.0), (0.5, 0.0005), (10**40, 30.0)],
)
def test_time_limits_are_milliseconds_and_capped(value: Any, seconds: float) -> None:
    assert math.isclose(setup(connectionTimeout=value).limits.connect, seconds)


def test_usual_time_limits() -> None:
    limits = setup().limits
    assert (limits.connect, limits.greeting, limits.reply, limits.total) == (15.0, 10.0, 30.0, 60.0)
    limits = setup(greetingTimeout=1000, socketTimeout=2000).limits
    assert (limits.greeting, limits.reply) == (1.0, 2.0)


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "x\r\nQUIT", 5, None, "a" * 300, "[127.0.0.1]", "a.-b", "a.b-", "a..b"]
)
def test_a_name_that_is_none_is_not_said(name: Any) -> None:
    assert setup(name=name).profile.ehlo_name == ""
    assert setup(name="relay.d1.example").profile.ehlo_name == "relay.d1.example"


def test_names_of_services_are_not_known() -> None:
    assert refused(service="gmail") == ("Service names are not supported.", "ECONNECTION")
    assert setup(service="gmail", host="smtp.example").profile.host == "smtp.example"


# Addresses


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"from": "a@b.example"}, ("a@b.example", "")),
        ({"from": " a@b.example "}, ("a@b.example", "")),
        ({"from": "Ann <a@b.example>"}, ("a@b.example", "Ann")),
        ({"from": '"Ann, Office" <a@b.example>'}, ("a@b.example", "Ann, Office")),
        ({"from": "Анна <anna@почта.рф>"}, ("anna@xn--80a1acny.xn--p1ai", "Анна")),
        ({"from": "<a@b.example>"}, ("a@b.example", "")),
        ({"from": "", "options": {"auth": {"user": "u@b.example"}}}, ("u@b.example", "")),
        ({"from": None, "options": {"auth": {"user": "u@b.example"}}}, ("u@b.example", "")),
        ({"options": {"auth": {"user": "u@b.example"}}}, ("u@b.example", "")),
        ({"options": {"auth": {"user": "user"}}}, None),
        ({"options": {"auth": {"user": 5}}}, None),
        ({"from": "nobody", "options": {"auth": {"user": "u@b.example"}}}, None),
        ({"from": 5}, None),
        ({"from": "Ann\r\nBcc: x@y.example <a@b.example>"}, None),
        ({"options": True}, None),
        ({}, None),
    ],
)
def test_the_sender(document: dict[str, Any], found: Any) -> None:
    assert lens.sender(document) == found


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("a@b.example", ["a@b.example"]),
        (" a@b.example ,c@d.example,, a@b.example", ["a@b.example", "c@d.example"]),
        (["a@b.example", "c@d.example, e@f.example", 5, None], ["a@b.example", "c@d.example", "e@f.example"]),
        (["Ann <a@b.example>", "x", "@", "a@", "@b.example", "a b@c.example", "a@b..example"], []),
        (["a@b.example\r\nRCPT TO:<x@y.example>", "a@b.example\n", "\r\na@b.example", "a\0@b.example"], []),
        (["<a@b.example>", 'a"b@c.example', "a@[127.0.0.1]", ".a@b.example", "a..b@c.example"], []),
        ("a" * 65 + "@b.example", []),
        ("A.B+c@MAIL.Example", ["A.B+c@mail.example"]),
        ("root@localhost", ["root@localhost"]),
        ("имя@почта.рф", ["имя@xn--80a1acny.xn--p1ai"]),
        (5, []), (None, []), ({}, []), ("", []),
    ],
)  # fmt: skip
def test_recipients(sent: Any, found: list[str]) -> None:
    assert addresses.recipients(sent) == found


# The laws

VALUES = st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=5) | st.sampled_from(["465", "smtp"])
OPTIONS = st.dictionaries(
    st.sampled_from(
        ["host", "port", "secure", "ignoreTLS", "requireTLS", "tls", "auth", "authMethod", "name", "service"]
    ),
    VALUES | st.dictionaries(st.sampled_from(["user", "pass", "rejectUnauthorized"]), VALUES),
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries({"provider": st.just("smtp") | VALUES, "options": OPTIONS | VALUES, "from": VALUES})


@given(before=DOCUMENTS, document=DOCUMENTS)
def test_what_is_written_is_all_that_counts_and_writing_it_again_changes_nothing(
    before: dict[str, Any], document: dict[str, Any]
) -> None:
    empty = SmtpProfile()
    try:
        once = lens.put(empty, document)
    except CannotSend:
        assert lens.own(document) is None
        return
    assert lens.put(once, document) == once
    try:
        other = lens.put(empty, before)
    except CannotSend:
        return
    assert lens.put(other, document) == once


# mailsvc's own mail


def test_mailsvc_uses_what_was_written(alice: WebClient, ports: Ports) -> None:
    relay = {"host": "smtp.d1.example", "port": "587", "requireTLS": True, "auth": {"user": "u", "pass": "p"}}
    alice.call("POST", SETTINGS, {"provider": "smtp", "from": "Ann <n@d1.example>", "options": relay})
    found = smtp_profiles.effective(ports, domain="d1.example")
    assert found is not None
    scope, kept = found
    assert kept.profile == SmtpProfile(
        host="smtp.d1.example", port=587, security=STARTTLS, username="u", sender="n@d1.example", sender_name="Ann"
    )
    assert smtp_profiles.route(ports, scope, kept).password == "p"
    assert smtp_profiles.effective(ports, domain="c1.example") is None
    alice.call("PUT", SETTINGS, {"provider": "smtp", "options": {"host": "other.example", "auth": None}})
    found = smtp_profiles.effective(ports, domain="d1.example")
    assert found is not None
    assert (found[1].profile.host, found[1].password, found[1].profile.username) == ("other.example", None, "")
    alice.call("DELETE")
    assert smtp_profiles.effective(ports, domain="d1.example") is None


@pytest.mark.parametrize(
    "document",
    [
        {"provider": "weird", "options": {"host": "smtp.example"}},
        {"provider": "smtp", "options": True},
        {"provider": "smtp", "options": {"host": ""}},
        {"provider": "smtp", "options": {"host": "smtp.example", "port": "x"}},
        {"provider": "smtp", "options": {"host": "smtp.example", "auth": {"user": "u"}, "authMethod": "x"}},
        {"provider": "smtp", "options": {"host": "smtp\u0000.example"}},
        {"provider": "smtp", "options": {"host": "smtp.example", "auth": {"user": "u\u0000"}}},
        {"provider": "smtp", "options": {"service": "gmail"}},
    ],
)
def test_what_nothing_can_be_sent_through_leaves_no_profile(
    alice: WebClient, ports: Ports, document: dict[str, Any]
) -> None:
    assert alice.call("POST", SETTINGS, {"provider": "smtp", "options": {"host": "smtp.d1.example"}})[0] == 200
    assert smtp_profiles.effective(ports, domain="d1.example") is not None
    assert alice.call("POST", SETTINGS, document)[0] == 200
    assert smtp_profiles.effective(ports, domain="d1.example") is None
