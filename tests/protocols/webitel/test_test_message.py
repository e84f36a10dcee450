"""The test message against real and odd SMTP servers (acceptance lines 15 and 16)."""

import email
import email.policy
import ssl
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from mailsvc.services.outgoing import AT_ONCE
from mailsvc.services.ports import Ports
from tests.protocols.webitel.smtp_servers import (
    END,
    HOST,
    SECRET,
    SILENCE,
    USER,
    CarefulServer,
    base64_of,
    careful,
    scripted,
)
from tests.protocols.webitel.test_documents import rows
from tests.protocols.webitel.web_client import ON_SQLITE, SETTINGS, TEST, WebClient, error

pytestmark = ON_SQLITE

TO = "a@b.example"
AUTH = {"user": USER, "pass": SECRET}
UNCHECKED = {"rejectUnauthorized": False}
SHORT = {"greetingTimeout": 300, "socketTimeout": 300}


def write(client: WebClient, port: int, sender: Any = "n@d1.example", **options: Any) -> None:
    document = {"provider": "smtp", "from": sender, "options": {"host": HOST, "port": port, **options}}
    assert client.call("POST", SETTINGS, document)[0] == 200


def send(client: WebClient, port: int, to: Any = TO, **options: Any) -> tuple[int, Any]:
    """Store the options and send the test message."""
    write(client, port, **options)
    return client.call("POST", TEST, {"to": to})


def failure(client: WebClient, port: int, **options: Any) -> tuple[str, str]:
    """Text and code of a test message that is not handed in."""
    status, reply = send(client, port, **options)
    assert (status, reply["status"], list(reply)) == (500, "error", ["status", "info", "code"])
    assert SECRET not in reply["info"] and base64_of(SECRET) not in reply["info"]
    return reply["info"], reply["code"]


# What works


def test_the_message(alice: WebClient, smtp: CarefulServer) -> None:
    status, reply = send(alice, smtp.port, sender="Анна <n@d1.example>")
    assert status == 200
    (received,) = smtp.received
    assert (received.sender, received.recipients) == ("n@d1.example", [TO])
    message = email.message_from_bytes(received.content, policy=email.policy.default)
    assert message["Subject"] == "Webitel"
    assert (message["To"], message["From"]) == (TO, "Анна <n@d1.example>")
    assert message["Message-ID"] == f"<{reply['info']['messageId']}>"
    assert message["Message-ID"].endswith("@d1.example>")
    assert message["Date"].datetime.tzinfo is not None
    assert not list(message.iter_attachments())
    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html"]
    assert "d1.example" in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize("prefix", ["", "/engine"])
def test_the_path_wins_over_the_body(alice: WebClient, smtp: CarefulServer, prefix: str) -> None:
    write(alice, smtp.port)
    path = f"{prefix}{TEST}/One@b.example,%20two@b.example"
    assert alice.call("POST", path, {"to": "body@b.example"})[1]["info"]["accepted"] == [
        "One@b.example",
        "two@b.example",
    ]
    assert alice.call("POST", f"{TEST}/", {"to": "body@b.example"})[1]["info"]["accepted"] == ["body@b.example"]


def test_several_recipients_of_which_one_is_refused(alice: WebClient, smtp: CarefulServer) -> None:
    smtp.replies["no@b.example"] = "550 5.1.1 no such user"
    status, reply = send(alice, smtp.port, to=["a@b.example", "no@b.example"])
    assert status == 200
    told = reply["info"]
    assert (told["accepted"], told["rejected"]) == (["a@b.example"], ["no@b.example"])
    assert told["envelope"] == {"from": "n@d1.example", "to": ["a@b.example", "no@b.example"]}
    assert told["response"].startswith("250 ")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("forced", [False, True])
def test_every_mechanism(alice: WebClient, mechanism: str, forced: bool) -> None:
    others = [one for one in ("PLAIN", "LOGIN", "CRAM-MD5") if one != mechanism]
    with careful(auth_exclude_mechanism=[] if forced else others) as server:
        options = {"authMethod": mechanism.lower()} if forced else {}
        assert send(alice, server.port, auth=AUTH, **options)[0] == 200
        assert server.received[0].mechanism == mechanism
        refused = failure(alice, server.port, auth={"user": USER, "pass": "wrong"}, **options)
        assert (refused[0][:15], refused[1]) == ("Invalid login: ", "EAUTH")


@pytest.mark.parametrize("auth", [None, {"user": "", "pass": "x"}])
def test_no_user_sends_no_auth(alice: WebClient, auth: Any) -> None:
    with scripted({"EHLO": "250-smtp.test\r\n250 AUTH PLAIN"}) as server:
        assert send(alice, server.port, auth=auth)[0] == 200
        assert not [line for line in server.lines if line.startswith("AUTH")]


def test_plain_is_tried_when_nothing_is_announced(alice: WebClient) -> None:
    with scripted({"AUTH": "235 welcome"}) as server:
        assert send(alice, server.port, auth=AUTH)[0] == 200
        assert f"AUTH PLAIN {base64_of(f'{chr(0)}{USER}{chr(0)}{SECRET}')}" in server.lines


def test_starttls_is_used_when_offered(alice: WebClient, unvouched: ssl.SSLContext) -> None:
    with careful(unvouched) as server:
        assert send(alice, server.port, tls=UNCHECKED)[0] == 200
        assert send(alice, server.port, ignoreTLS=True)[0] == 200
        assert [one.encrypted for one in server.received] == [True, False]
        info, code = failure(alice, server.port)
        assert (info.startswith("Error initiating TLS - "), code) == (True, "ETLS")


def test_starttls_that_is_required_is_sent_though_not_offered(
    alice: WebClient, unvouched: ssl.SSLContext, smtp: CarefulServer
) -> None:
    assert failure(alice, smtp.port, requireTLS=True) == ("Error upgrading connection with STARTTLS", "ETLS")
    with scripted({"STARTTLS": "220 go"}, tls=unvouched) as server:
        assert send(alice, server.port, requireTLS=True, tls=UNCHECKED)[0] == 200


def test_tls_from_the_first_byte(alice: WebClient, unvouched: ssl.SSLContext) -> None:
    with careful(unvouched, implicit=True) as server:
        assert send(alice, server.port, secure=True, tls=UNCHECKED)[0] == 200
        assert server.received[0].encrypted
        for tls in (None, {}, {"rejectUnauthorized": True}):
            info, code = failure(alice, server.port, secure=True, tls=tls)
            assert (info.startswith("Error initiating TLS - "), code) == (True, "ETLS")


def test_tls_with_a_server_that_has_none(alice: WebClient, smtp: CarefulServer) -> None:
    info, code = failure(alice, smtp.port, secure=True, tls=UNCHECKED)
    assert (info.startswith("Error initiating TLS - "), code) == (True, "ETLS")


def test_the_greeting_name(alice: WebClient, smtp: CarefulServer) -> None:
    send(alice, smtp.port, name="relay.d1.example")
    send(alice, smtp.port, name="not a name")
    assert smtp.ehlo_names == ["relay.d1.example", "mail.server.test"]


def test_an_address_beyond_ascii(alice: WebClient, smtp: CarefulServer) -> None:
    assert send(alice, smtp.port, to="a@почта.рф")[1]["info"]["accepted"] == ["a@xn--80a1acny.xn--p1ai"]
    assert send(alice, smtp.port, sender="имя@почта.рф")[0] == 200
    with careful(enable_SMTPUTF8=False) as server:
        assert failure(alice, server.port, sender="имя@почта.рф")[1] == "EENVELOPE"


# What is refused before anybody is called


def test_what_is_missing(alice: WebClient, root: WebClient, smtp: CarefulServer) -> None:
    to = {"to": TO}
    nothing = error("Not settings EMail provider from domain d1.example")
    assert alice.call("POST", TEST, to) == (404, nothing)
    assert root.call("POST", TEST, to) == (400, error("Domain is required."))
    for provider in ("SMTP", "weird", ["smtp"], 5):
        alice.call("POST", SETTINGS, {"provider": provider, "options": {}})
        assert alice.call("POST", TEST, to) == (500, error("Bad provider name."))
    write(alice, smtp.port)
    unusable: list[Any] = ["", None, 5, "x", [], "a@b.example\r\nX: y", {}, "Ann <a@b.example>"]
    for recipients in unusable:
        refused = alice.call("POST", TEST, {"to": recipients})
        assert refused == (500, error("No recipients defined", "EENVELOPE")), recipients
    assert alice.call("POST", f"{TEST}/a@b.example%0d%0aX:%20y") == (500, error("No recipients defined", "EENVELOPE"))
    many = [f"a{number}@b.example" for number in range(21)]
    assert alice.call("POST", TEST, {"to": many}) == (500, error("Too many recipients", "EENVELOPE"))
    assert alice.call("POST", TEST, {"to": many[:20]})[0] == 200
    assert send(alice, smtp.port, sender="") == (500, error("No sender defined", "EENVELOPE"))
    assert send(alice, smtp.port, sender="", auth={"user": "u"}) == (500, error("No sender defined", "EENVELOPE"))
    assert failure(alice, "x") == ("Bad port.", "ECONNECTION")  # type: ignore[arg-type]
    assert len(smtp.received) == 1


def test_options_that_are_no_object(alice: WebClient, closed_port: int) -> None:
    alice.call("POST", SETTINGS, {"provider": "smtp", "from": "n@d1.example", "options": True})
    status, reply = alice.call("POST", f"{TEST}/{TO}")
    assert (status, "code" in reply or reply["status"] == "OK") in ((500, True), (200, True))


class TestDenied:
    """Networks that are never called."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"SMTP_DENY_NETWORKS": "127.0.0.0/8,::1/128"}

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "2130706433"])
    def test_they_are_not_called(self, alice: WebClient, smtp: CarefulServer, host: str) -> None:
        assert failure(alice, smtp.port, host=host) == ("Address not allowed", "ECONNECTION")
        assert smtp.received == []


# What goes wrong


def test_nobody_there(alice: WebClient, closed_port: int) -> None:
    refused = (f"connect ECONNREFUSED 127.0.0.1:{closed_port}", "ECONNREFUSED")
    assert failure(alice, closed_port) == refused


@pytest.mark.parametrize("host", ["nowhere.invalid", "a b", "x\u0000y", "x" * 300, "..", "\U0001f600.invalid"])
def test_a_name_without_an_address(alice: WebClient, host: str) -> None:
    info, code = failure(alice, 25, host=host)
    assert (info.startswith("getaddrinfo ENOTFOUND "), code) == (True, "ENOTFOUND")


ODD: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "silent": ({"greeting": SILENCE}, SHORT, "Greeting never received", "ETIMEDOUT"),
    "silent later": ({"EHLO": SILENCE}, SHORT, "Timeout", "ETIMEDOUT"),
    "gone": ({"greeting": END}, {}, "Connection closed", "ECONNECTION"),
    "gone later": ({"MAIL": END}, {}, "Connection closed", "ECONNECTION"),
    "no server": ({"greeting": "hello there"}, {}, "Connection closed", "ECONNECTION"),
    "unwilling": ({"greeting": "554 no"}, {}, "Invalid greeting from server: 554 no", "EPROTOCOL"),
    "STARTTLS": (
        {"EHLO": "250-x\r\n250 STARTTLS", "STARTTLS": "454 no"}, {}, "Error upgrading connection with STARTTLS", "ETLS",
    ),
    "STARTTLS fails": (
        {"EHLO": "250-x\r\n250 STARTTLS", "STARTTLS": "220 go\r\nnothing of the kind"}, {},
        "Error initiating TLS - ", "ETLS",
    ),
    "AUTH": ({"AUTH": f"535 5.7.8 no {SECRET}"}, {"auth": AUTH}, "Invalid login: 535 5.7.8 no ***", "EAUTH"),
    "other AUTH": ({"EHLO": "250-x\r\n250 AUTH GSSAPI"}, {"auth": AUTH}, "The server offers no auth", "EAUTH"),
    "MAIL": ({"MAIL": "553 5.7.1 not you"}, {}, "Mail command failed: 553 5.7.1 not you", "EENVELOPE"),
    "RCPT": (
        {"RCPT": "550 5.1.1 who"}, {}, "Can't send mail - all recipients were rejected: 550 5.1.1 who", "EENVELOPE",
    ),
    "DATA": ({"DATA": "451 later"}, {}, "Data command failed: 451 later", "EENVELOPE"),
    "message": ({"message": "554 5.6.0 spam"}, {}, "Message failed: 554 5.6.0 spam", "EMESSAGE"),
    "two lines": (
        {"message": "554-5.6.0 a\r\n554 5.6.0 b\tc\x07"}, {}, "Message failed: 554 5.6.0 a 5.6.0 b c", "EMESSAGE",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", ODD)
def test_an_odd_server(alice: WebClient, how: str) -> None:
    replies, options, first_words, code = ODD[how]
    with scripted(replies) as server:
        info, told = failure(alice, server.port, **{"tls": UNCHECKED, **options})
    assert (info[: len(first_words)], told) == (first_words, code)
    assert info.isprintable() and len(info) < 400


def test_the_password_is_hidden_in_success_too(alice: WebClient) -> None:
    with scripted({"AUTH": "235 ok", "message": f"250 thanks {SECRET} {base64_of(SECRET)}"}) as server:
        status, reply = send(alice, server.port, auth=AUTH)
    assert (status, reply["info"]["response"]) == (200, "250 thanks *** ***")


def test_a_server_that_never_ends_its_reply(alice: WebClient) -> None:
    with scripted({"EHLO": "\r\n".join(["250-x"] * 5000)}) as server:
        assert failure(alice, server.port) == ("Connection closed", "ECONNECTION")


def test_what_went_wrong_is_in_the_trail_without_secrets(alice: WebClient, ports: Ports) -> None:
    with scripted({"AUTH": f"535 no {SECRET}"}) as server:
        failure(alice, server.port, auth=AUTH)
    trail = rows(ports, "SELECT operation, object, outcome, code FROM audit_entry ORDER BY id DESC LIMIT 1")
    assert trail == [("settings test", "d1.example", "CannotSend", 500)]
    assert SECRET not in repr(rows(ports, "SELECT * FROM audit_entry"))


def test_no_more_at_once_than_there_may_be(alice: WebClient, smtp: CarefulServer, ports: Ports) -> None:
    write(alice, smtp.port)
    with ExitStack() as others:
        for _ in range(AT_ONCE):
            others.enter_context(ports.outgoing.turn())
        refused = alice.call("POST", f"{TEST}/{TO}")
        assert refused == (500, error("Too many messages are being sent, try again later", "ECONNECTION"))
    assert alice.call("POST", f"{TEST}/{TO}")[0] == 200


def test_a_client_without_credentials_sends_nothing(client: FlaskClient) -> None:
    assert WebClient(client, {}).call("POST", f"{TEST}/{TO}") == (401, error("Invalid token"))
