"""Handing mail in: envelope, security of the line, authentication, refusals."""

import base64
import ssl
from pathlib import Path

import pytest

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS
from mailsvc.courier.routes import Step, Why
from mailsvc.courier.smtp import Message, send, stuffed
from tests.courier.sending import CONTENT, MESSAGE, TARGETS, failure, route, sent
from tests.servers.certificates import Authority, self_signed
from tests.servers.smtp import Peer, Sane, Script, scripted

# The envelope


def test_a_message_arrives_as_it_is() -> None:
    sane = Sane()
    with scripted(sane) as server:
        delivery = sent(server.port)
    assert delivery == (["b@example.com"], [], (250, "2.0.0 queued as 1", ("2.0.0 queued as 1",)))
    (received,) = sane.received
    assert (received.sender, received.recipients, received.content) == ("a@example.com", ["b@example.com"], CONTENT)
    assert server.verbs[:2] == ["EHLO", "MAIL"] and server.heard[-1] == "QUIT"
    assert "mail.server.test" in server.heard[0]


def test_the_name_of_the_profile_comes_first() -> None:
    with scripted(Sane()) as server:
        sent(server.port, ehlo_name="other.test")
    assert server.heard[0] == "EHLO other.test"


def test_each_step_is_told() -> None:
    sane = Sane(mechanisms=["PLAIN"], users={"u": "p"})
    steps: list[Step] = []
    with scripted(sane) as server:
        send(TARGETS, route(server.port, username="u", password="p"), MESSAGE, steps.append)
    assert steps == [Step.CONNECT, Step.AUTHENTICATE, Step.SEND]


@pytest.mark.parametrize(
    ("content", "on_the_wire"),
    [
        (b"a\r\n.\r\n..b\r\n", b"a\r\n..\r\n...b\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"", b".\r\n"),
        (b"unix\n.\nmac\r.\r", b"unix\r\n..\r\nmac\r\n..\r\n.\r\n"),
        (b"a\r\n\r\n.\r\n\r\n", b"a\r\n\r\n..\r\n\r\n.\r\n"),
    ],
)
def test_dots_and_line_ends(content: bytes, on_the_wire: bytes) -> None:
    assert stuffed(content) == on_the_wire


def test_a_dot_in_the_message_does_not_end_it() -> None:
    sane = Sane()
    with scripted(sane) as server:
        sent(server.port, message=Message("a@x.test", ["b@x.test"], b"\r\n.\r\nMAIL FROM:<evil@x.test>\n.\nend\r\n"))
    assert server.verbs.count("MAIL") == 2 and len(sane.received) == 1
    assert sane.received[0].content == b"\r\n..\r\nMAIL FROM:<evil@x.test>\r\n..\r\nend\r\n"


@pytest.mark.parametrize(
    "bad", ["a@x.test>\r\nRCPT TO:<c@x.test", "a\nb@x.test", "a b@x.test", "<a@x.test>", "a\0@x.test"]
)
def test_what_is_no_address_never_becomes_a_command(bad: str) -> None:
    with pytest.raises(ValueError):
        Message("ok@x.test", [bad], b"")
    with pytest.raises(ValueError):
        Message(bad, ["ok@x.test"], b"")
    with pytest.raises(ValueError):
        Message("ok@x.test", [], b"")


@pytest.mark.parametrize("code", [250, 251])
def test_every_positive_answer_to_a_recipient_counts(code: int) -> None:
    sane = Sane(refuse_recipients={"b@example.com": f"{code} will forward"})
    with scripted(sane) as server:
        assert sent(server.port).accepted == ["b@example.com"]


def test_some_recipients_refused() -> None:
    sane = Sane(refuse_recipients={"b@x.test": "550 5.1.1 no such user"})
    with scripted(sane) as server:
        delivery = sent(server.port, message=Message("s@x.test", ["a@x.test", "b@x.test", "c@x.test"], CONTENT))
    assert (delivery.accepted, delivery.rejected) == (["a@x.test", "c@x.test"], ["b@x.test"])
    assert sane.received[0].recipients == ["a@x.test", "c@x.test"]


@pytest.mark.parametrize(
    ("sane", "why", "text"),
    [
        (Sane(refuse_sender="550 5.7.1 not from you"), Why.SENDER_REFUSED, "550 5.7.1 not from you"),
        (Sane(refuse_recipients={"b@example.com": "554 no"}), Why.RECIPIENTS_REFUSED, "554 no"),
        (Sane(refuse_data="451 later"), Why.DATA_REFUSED, "451 later"),
        (Sane(refuse_message="552 5.3.4 too big"), Why.MESSAGE_REFUSED, "552 5.3.4 too big"),
        (Sane(refuse_sender="421 closing"), Why.SENDER_REFUSED, "421 closing"),
    ],
)
def test_refusals_are_told_apart(sane: Sane, why: Why, text: str) -> None:
    with scripted(sane) as server:
        failed = failure(server.port)
    assert (failed.why, failed.step) == (why, Step.SEND)
    assert failed.reply is not None and failed.reply.line == text
    assert sane.received == [] and server.heard[-1] == "QUIT"


def test_smtputf8_only_when_needed() -> None:
    sane = Sane()
    with scripted(sane) as server:
        sent(server.port)
        sent(server.port, message=Message("jürgen@example.com", ["b@example.com"], CONTENT))
        sent(server.port, message=Message("a@example.com", ["почта@example.com"], CONTENT))
    commands = [line for line in server.heard if line.startswith("MAIL")]
    assert commands == [
        "MAIL FROM:<a@example.com>",
        "MAIL FROM:<jürgen@example.com> BODY=8BITMIME SMTPUTF8",
        "MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8",
    ]
    assert sane.received[2].recipients == ["почта@example.com"]


def test_smtputf8_that_is_not_there() -> None:
    with scripted(Sane(extensions=["8BITMIME"])) as server:
        assert failure(server.port, message=Message("a@x.test", ["ä@x.test"], CONTENT)).why is Why.NO_SMTPUTF8
    assert "MAIL" not in server.verbs


def test_a_server_that_knows_no_ehlo() -> None:
    def old(peer: Peer) -> None:
        peer.say("220 old.test")
        while (line := peer.hear()) != "QUIT":
            peer.say("500 what?" if line.startswith("EHLO") else "354 go" if line == "DATA" else "250 ok")
            if line == "DATA":
                peer.hear_message()
                peer.say("250 ok")
        peer.say("221 bye")

    with scripted(old) as server:
        sent(server.port)
        assert failure(server.port, STARTTLS).why is Why.NO_STARTTLS
    assert server.verbs[:3] == ["EHLO", "HELO", "MAIL"]


def test_a_greeting_that_refuses() -> None:
    with scripted(lambda peer: peer.say("554 no service here")) as server:
        failed = failure(server.port)
    assert (failed.why, failed.reply and failed.reply.line) == (Why.GREETING_REFUSED, "554 no service here")


# The line


def test_plain_ignores_an_offered_starttls(authority: Authority) -> None:
    sane = Sane(starttls=authority.pair("localhost").context())
    with scripted(sane) as server:
        sent(server.port, PLAIN)
    assert "STARTTLS" not in server.verbs and not sane.received[0].secured


def test_starttls_secures_before_anything_else(trusted: Authority) -> None:
    sane = Sane(starttls=trusted.pair("localhost").context(), mechanisms=["PLAIN"], users={"u": "p"})
    with scripted(sane) as server:
        sent(server.port, STARTTLS, host="localhost", username="u", password="p")
        sent(server.port, OPPORTUNISTIC, host="localhost")
    assert server.verbs[:5] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL"]
    assert all(received.secured for received in sane.received) and len(sane.received) == 2


def test_starttls_that_is_not_offered() -> None:
    sane = Sane()
    with scripted(sane) as server:
        assert failure(server.port, STARTTLS, username="u", password="p").why is Why.NO_STARTTLS
        sent(server.port, OPPORTUNISTIC)
        failed = failure(server.port, STARTTLS, announced_only=False)
    assert (failed.why, failed.reply and failed.reply.code) == (Why.STARTTLS_REFUSED, 502)
    assert "AUTH" not in server.verbs and len(sane.received) == 1


def announcing(*after: str | bytes) -> Script:
    """A script that offers STARTTLS and answers it with ``after``."""

    def script(peer: Peer) -> None:
        peer.say("220 hello")
        while not peer.hear().startswith("STARTTLS"):
            peer.say("250-hello", "250 STARTTLS")
        peer.raw(b"".join(part if isinstance(part, bytes) else part.encode() + b"\r\n" for part in after))
        peer.wait_until_gone()

    return script


@pytest.mark.parametrize("security", [STARTTLS, OPPORTUNISTIC])
def test_starttls_that_is_refused(security: str) -> None:
    with scripted(announcing("454 4.7.0 TLS not available")) as server:
        failed = failure(server.port, security)
    assert (failed.why, failed.reply and failed.reply.code) == (Why.STARTTLS_REFUSED, 454)
    assert "MAIL" not in server.verbs


def test_plaintext_behind_the_answer_to_starttls_is_not_believed() -> None:
    with scripted(announcing(b"220 go\r\n250-evil.test\r\n250 AUTH PLAIN\r\n")) as server:
        failed = failure(server.port, STARTTLS, verify=False, username="u", password="p")
    assert failed.why is Why.TLS_FAILED
    assert server.verbs == ["EHLO", "STARTTLS"]


def test_what_was_offered_in_clear_does_not_count_under_tls(authority: Authority) -> None:
    context = authority.pair("localhost").context()

    def script(peer: Peer) -> None:
        peer.say("220 hello")
        peer.hear()
        peer.say("250-hello", "250-AUTH PLAIN", "250 STARTTLS")
        peer.hear()
        peer.say("220 go")
        peer.secure(context)
        peer.hear()
        peer.say("250 hello, without anything")
        peer.wait_until_gone()

    with scripted(script) as server:
        assert failure(server.port, STARTTLS, verify=False, username="u", password="p").why is Why.NO_MECHANISM
    assert "AUTH" not in server.verbs


def test_tls_from_the_first_byte(trusted: Authority) -> None:
    sane = Sane(secured=True)
    with scripted(sane, trusted.pair("localhost", "127.0.0.1").context()) as server:
        sent(server.port, TLS, host="localhost")
        sent(server.port, TLS, host="127.0.0.1")
    assert len(sane.received) == 2


@pytest.mark.parametrize("security", [STARTTLS, TLS])
def test_certificates_that_nobody_should_trust(security: str, trusted: Authority, certificates: Path) -> None:
    pairs = [
        self_signed(certificates, "localhost"),
        Authority(certificates).pair("localhost"),
        trusted.pair("other.test"),
        trusted.pair("localhost", expired=True),
    ]
    for pair in pairs:
        context = pair.context()
        sane = Sane(starttls=context if security == STARTTLS else None)
        with scripted(sane, context if security == TLS else None) as server:
            failed = failure(server.port, security, host="localhost", username="u", password="p")
            assert (failed.why, failed.step) == (Why.CERTIFICATE, Step.CONNECT), pair
            assert failed.detail
            sent(server.port, security, host="localhost", verify=False)
        assert "AUTH" not in server.verbs


def test_an_address_is_verified_as_an_address(trusted: Authority) -> None:
    with scripted(Sane(), trusted.pair("localhost").context()) as server:
        assert failure(server.port, TLS, host="127.0.0.1").why is Why.CERTIFICATE


def test_tls_where_none_is_spoken() -> None:
    with scripted(Sane()) as server:
        assert failure(server.port, TLS, verify=False).why is Why.TLS_FAILED


def test_tls_that_is_too_old(authority: Authority) -> None:
    context = authority.pair("localhost").context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with scripted(Sane(), context) as server:
        assert failure(server.port, TLS, verify=False).why in (Why.TLS_FAILED, Why.LOST)


# Authentication

SECRETS = ["p", "correct horse", "pässwörd-пароль-🔑", "x" * 1024, " blanks ", "a:b\\c\"d'e"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("secret", SECRETS)
def test_every_mechanism_with_every_password(mechanism: str, secret: str) -> None:
    sane = Sane(mechanisms=["XOAUTH2", mechanism], users={"jürgen@example.com": secret})
    with scripted(sane) as server:
        sent(server.port, username="jürgen@example.com", password=secret)
        failed = failure(server.port, username="jürgen@example.com", password=secret + "x")
    assert (failed.why, failed.step) == (Why.LOGIN_REFUSED, Step.AUTHENTICATE)
    assert (sane.received[0].user, sane.received[0].password) == ("jürgen@example.com", secret)
    assert next(line for line in server.heard if line.startswith("AUTH")).split(" ")[1] == mechanism
    assert all(len(line) <= 510 for line in server.heard if line.startswith("AUTH"))


def test_the_first_of_ours_that_is_offered() -> None:
    sane = Sane(mechanisms=["NTLM", "CRAM-MD5", "LOGIN", "PLAIN"], users={"u": "p"})
    with scripted(sane) as server:
        sent(server.port, username="u", password="p")
        sent(server.port, username="u", password="p", mechanism="CRAM-MD5")
    assert [line.split(" ")[1] for line in server.heard if line.startswith("AUTH")] == ["PLAIN", "CRAM-MD5"]


def test_the_spelling_from_before_the_standard() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 hello")
        peer.hear()
        peer.say("250-hello", "250 AUTH=LOGIN PLAIN")
        peer.hear()
        peer.say("535 no")
        peer.wait_until_gone()

    with scripted(script) as server:
        assert failure(server.port, username="u", password="p").why is Why.LOGIN_REFUSED
    assert server.heard[1] == "AUTH PLAIN " + base64.b64encode(b"\0u\0p").decode()


@pytest.mark.parametrize("mechanisms", [[], ["GSSAPI", "NTLM"]])
def test_nothing_that_we_speak_is_offered(mechanisms: list[str]) -> None:
    with scripted(Sane(mechanisms=mechanisms)) as server:
        failed = failure(server.port, username="u", password="p")
    assert (failed.why, failed.step) == (Why.NO_MECHANISM, Step.AUTHENTICATE)
    assert "AUTH" not in server.verbs and "MAIL" not in server.verbs


def test_plain_is_tried_unannounced_only_when_told_to() -> None:
    with scripted(Sane(users={"u": "p"})) as server:
        sent(server.port, username="u", password="p", announced_only=False)
    assert "AUTH" in server.verbs


def test_no_user_name_no_authentication() -> None:
    with scripted(Sane(mechanisms=["PLAIN"])) as server:
        sent(server.port, username="", password="p")
    assert "AUTH" not in server.verbs


@pytest.mark.parametrize("challenge", ["not base64!", "YQ", "ä"])
def test_a_challenge_that_is_none(challenge: str) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 hello")
        peer.hear()
        peer.say("250-hello", "250 AUTH CRAM-MD5")
        peer.hear()
        peer.say(f"334 {challenge}")
        peer.hear()
        peer.say("501 cancelled")
        peer.wait_until_gone()

    with scripted(script) as server:
        assert failure(server.port, username="u", password="p").why is Why.LOGIN_REFUSED
    assert server.heard[2] == "*"
