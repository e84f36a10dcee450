"""Proving accounts by a login: real IMAP, POP3 and SMTP servers, and scripted ones for what real ones do not do."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

import config
from mailsvc.core.mail_accounts import (
    CRAM_MD5,
    IMAP,
    LOGIN,
    NO_AUTH,
    PLAIN,
    POP3,
    SMTP,
    STARTTLS,
    TLS,
    MailServer,
    Servers,
)
from mailsvc.courier import probe, smtp_login, tls
from mailsvc.courier.failures import Failure
from mailsvc.courier.links import LOGIN_BYTES, Links
from mailsvc.courier.probe import Verdict
from mailsvc.courier.targets import Targets
from tests.servers.dovecot_mail import PASSWORD, DovecotMail, dovecot_mail
from tests.servers.scripted import Talk, imap_login, scripted, smtp

LINKS = Links(Targets([ip_network(text) for text in config.NEVER_CALLED.split(",")]), False, 20, 20)
HASTY = replace(LINKS, connect_seconds=0.5, login_seconds=0.5)
USER = "me@foreign.test"


def server(protocol: str, port: int, **more: Any) -> MailServer:
    return replace(MailServer(protocol, "127.0.0.1", port, USER, PLAIN, LOGIN), **more)


def why(links: Links, asked: MailServer, password: str = PASSWORD) -> str | None:
    """Why ``asked`` does not let us in; None if it does."""
    try:
        if asked.protocol == SMTP:
            smtp_login.log_in(links, asked, password, name="mail.server.test")
        else:
            probe.incoming_session(links, asked, password).close()
    except Failure as failure:
        return failure.reason
    return None


@pytest.mark.parametrize("auth", [NO_AUTH, LOGIN, CRAM_MD5])
@pytest.mark.parametrize(
    ("protocol", "port", "encryption"),
    [
        (IMAP, "imap", PLAIN),
        (IMAP, "imap", STARTTLS),
        (IMAP, "imaps", TLS),
        (POP3, "pop3", PLAIN),
        (POP3, "pop3", STARTTLS),
        (POP3, "pop3s", TLS),
    ],
)
def test_a_real_server_lets_in_who_knows_the_password(
    foreign: DovecotMail, protocol: str, port: str, encryption: int, auth: int
) -> None:
    asked = server(protocol, getattr(foreign, port), encryption=encryption, auth=auth)
    assert why(LINKS, asked) is None
    assert "Authentication failed." in str(why(LINKS, asked, "wrong"))


def test_a_server_that_takes_no_password_in_clear(foreign: DovecotMail) -> None:
    with dovecot_mail(no_plaintext=True, mechanisms="plain login") as strict:
        # (Dovecot takes 127.0.0.1 for secure, so here it must be told not to.)
        assert why(LINKS, server(IMAP, strict.imap, encryption=STARTTLS)) is None


@pytest.mark.parametrize(("protocol", "port"), [(IMAP, "imap"), (POP3, "pop3")])
def test_cram_md5_is_not_replaced_by_anything(protocol: str, port: str) -> None:
    with dovecot_mail(mechanisms="plain login") as plain:
        reason = why(LINKS, server(protocol, getattr(plain, port), auth=CRAM_MD5))
    assert reason == "The server does not support the requested authentication mechanism."


@pytest.fixture
def verifying() -> Iterator[Links]:
    tls.client_context.cache_clear()
    yield replace(LINKS, verify=True)
    tls.client_context.cache_clear()


@pytest.mark.parametrize(
    ("protocol", "port", "encryption"), [(IMAP, "imaps", TLS), (IMAP, "imap", STARTTLS), (POP3, "pop3s", TLS)]
)
def test_certificates_are_verified(
    foreign: DovecotMail, verifying: Links, monkeypatch: pytest.MonkeyPatch, protocol: str, port: str, encryption: int
) -> None:
    asked = server(protocol, getattr(foreign, port), encryption=encryption)
    assert why(verifying, asked) == "The server certificate could not be verified."
    tls.client_context.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(foreign.certificate))
    assert why(verifying, asked) is None
    assert why(verifying, replace(asked, host="localhost")) is None
    with scripted_name("elsewhere.test", monkeypatch):
        assert why(verifying, replace(asked, host="elsewhere.test")) == "The server certificate could not be verified."


@contextmanager
def scripted_name(name: str, monkeypatch: pytest.MonkeyPatch, address: str = "127.0.0.1") -> Iterator[None]:
    """Let ``name`` resolve to ``address``."""
    asked = socket.getaddrinfo

    def resolved(host: str, *arguments: object, **more: object) -> object:
        return asked(address if host == name else host, *arguments, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolved)
        yield


def test_old_versions_of_tls_are_refused() -> None:
    assert tls.client_context(verify=False).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254"])
@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
def test_forbidden_addresses_are_not_called(protocol: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with scripted_name("metadata.test", monkeypatch, address):
        reason = why(LINKS, server(protocol, 993, host="metadata.test"))
    assert reason == "Connection to this address is not allowed."


@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"port": 0}, "The port must be between 1 and 65535."),
        ({"port": 65536}, "The port must be between 1 and 65535."),
        ({"port": -1}, "The port must be between 1 and 65535."),
        ({"host": ""}, "The server name is empty."),
        ({"host": "  "}, "The server name is empty."),
        ({"host": "", "port": 0}, "The server name is empty."),
        ({"port": 1}, "Connection refused"),
    ],
)
def test_what_cannot_be_connected_to(protocol: str, more: dict[str, Any], reason: str) -> None:
    assert why(LINKS, replace(server(protocol, 993), **more)) == reason


@pytest.mark.parametrize("host", ["nonexistent.invalid", "a..b", "x" * 255, "\u043f\u043e\u0447\u0442\u0430.invalid"])
def test_names_that_nobody_has(host: str) -> None:
    reason = why(LINKS, server(IMAP, 993, host=host))
    assert reason
    assert "Traceback" not in reason


NAMES = {IMAP: "Imap", POP3: "Pop", SMTP: "Smtp"}


@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
def test_a_silent_server_ends_by_the_time_limit(protocol: str) -> None:
    with scripted(Talk.wait) as silent:
        assert why(HASTY, server(protocol, silent.port)) == f"{NAMES[protocol]}.ConnectAsync timeout"
        assert why(HASTY, server(protocol, silent.port, encryption=TLS)) == f"{NAMES[protocol]}.ConnectAsync timeout"


def trickle(talk: Talk) -> None:
    """Say something now and then, and never get to the point."""
    while True:
        talk.send(b"* ")
        time.sleep(0.05)


@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
def test_a_server_that_dawdles_ends_by_the_same_limit(protocol: str) -> None:
    with scripted(trickle) as slow:
        assert why(HASTY, server(protocol, slow.port)) == f"{NAMES[protocol]}.ConnectAsync timeout"


def silent_after_login(protocol: str) -> Callable[[Talk], None]:
    def imap(talk: Talk) -> None:
        talk.say("* OK ready")
        tag = talk.hear().split()[0]
        talk.say("* CAPABILITY IMAP4rev1", f"{tag} OK done")
        talk.wait()

    def pop(talk: Talk) -> None:
        talk.say("+OK ready")
        talk.hear()
        talk.say("-ERR no such command")
        talk.wait()

    def submission(talk: Talk) -> None:
        smtp(talk, "AUTH PLAIN", reply=lambda line: talk.wait() if line.startswith("AUTH") else None)

    return {IMAP: imap, POP3: pop, SMTP: submission}[protocol]


@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
def test_a_server_that_is_silent_at_login_ends_by_the_time_limit(protocol: str) -> None:
    with scripted(silent_after_login(protocol)) as silent:
        assert why(HASTY, server(protocol, silent.port)) == f"{NAMES[protocol]}.AuthenticateAsync timeout"


def no_starttls(protocol: str) -> Callable[[Talk], None]:
    def pop(talk: Talk) -> None:
        talk.say("+OK ready")
        while True:
            talk.hear()
            talk.say("-ERR no")

    scripts: dict[str, Callable[[Talk], None]] = {
        IMAP: lambda talk: (imap_login(talk), None)[1],
        POP3: pop,
        SMTP: lambda talk: smtp(talk, "AUTH PLAIN"),
    }
    return scripts[protocol]


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (IMAP, "The IMAP server does not support the STARTTLS extension."),
        (POP3, "The POP3 server does not support the STLS extension."),
        (SMTP, "The SMTP server does not support the STARTTLS extension."),
    ],
)
def test_without_starttls_the_server_never_sees_a_login(protocol: str, reason: str) -> None:
    with scripted(no_starttls(protocol)) as plain:
        assert why(LINKS, server(protocol, plain.port, encryption=STARTTLS)) == reason
    assert not any(plain.heard_any(word) for word in ("LOGIN", "AUTH", "USER", "PASS", USER, PASSWORD))


def test_what_was_sent_in_clear_after_starttls_is_not_taken() -> None:
    """Else whoever is on the line could put replies into the secured session."""

    def script(talk: Talk) -> None:
        talk.say("* OK ready")
        tag = talk.hear().split()[0]
        talk.say("* CAPABILITY IMAP4rev1 STARTTLS", f"{tag} OK done")
        tag = talk.hear().split()[0]
        talk.say(f"{tag} OK go on", "* CAPABILITY IMAP4rev1 AUTH=PLAIN")
        talk.wait()

    with scripted(script) as hostile:
        reason = why(LINKS, server(IMAP, hostile.port, encryption=STARTTLS))
    assert reason is not None and reason.startswith("TLS failed")


REFUSALS: list[tuple[str, str]] = [
    ("Invalid credentials", "Invalid credentials"),
    ("[AUTHENTICATIONFAILED]  odd\tblanks", "[AUTHENTICATIONFAILED] odd blanks"),
    (f"no {PASSWORD} here", "no *** here"),
    ("x" * 400, "x" * 300),
    ("<b>bold</b>\x1b[2J", "<b>bold</b> [2J"),
]


@pytest.mark.parametrize(("said", "shown"), REFUSALS)
def test_the_reply_of_an_imap_server_is_told_in_one_line(said: str, shown: str) -> None:
    with scripted(lambda talk: (imap_login(talk, reply=f"NO {said}"), None)[1]) as refusing:
        assert why(LINKS, server(IMAP, refusing.port)) == shown


@pytest.mark.parametrize(("said", "shown"), REFUSALS)
def test_the_reply_of_a_pop3_server_is_told_in_one_line(said: str, shown: str) -> None:
    def script(talk: Talk) -> None:
        talk.say("+OK ready")
        while True:
            talk.say("+OK" if talk.hear().startswith("USER") else f"-ERR {said}")

    with scripted(script) as refusing:
        assert why(LINKS, server(POP3, refusing.port)) == shown


@pytest.mark.parametrize(("said", "shown"), REFUSALS)
def test_the_reply_of_an_smtp_server_is_told_with_its_code(said: str, shown: str) -> None:
    def script(talk: Talk) -> None:
        smtp(talk, "AUTH LOGIN", reply=lambda line: None if line[:4] in ("QUIT",) else f"535 {said}")

    with scripted(script) as refusing:
        assert why(LINKS, server(SMTP, refusing.port)) == f"535: {shown}"[:300]


def test_the_password_is_hidden_in_base64_too() -> None:
    def script(talk: Talk) -> None:
        smtp(talk, "AUTH LOGIN", reply=lambda line: "334 VXNlcm5hbWU6" if len(line) < 30 else f"535 {line}")

    long = "A long password of the user's, 42 letters."
    with scripted(script) as echoing:
        reason = why(LINKS, server(SMTP, echoing.port), long)
    assert reason == "535: ***"


@pytest.mark.parametrize(
    ("auth", "extensions", "reason"),
    [
        (NO_AUTH, ("AUTH PLAIN LOGIN",), "SmtpAuth is required (setup Authentication Type)"),
        (NO_AUTH, ("SIZE 100",), None),
        (LOGIN, ("AUTH PLAIN LOGIN",), None),
        (LOGIN, ("AUTH LOGIN",), None),
        (LOGIN, ("AUTH CRAM-MD5",), None),
        (LOGIN, ("AUTH GSSAPI",), "The server does not support the requested authentication mechanism."),
        (LOGIN, (), "The server does not support the requested authentication mechanism."),
        (CRAM_MD5, ("AUTH PLAIN LOGIN",), "The server does not support the requested authentication mechanism."),
        (CRAM_MD5, ("AUTH PLAIN CRAM-MD5",), None),
    ],
)
def test_smtp_logins(auth: int, extensions: tuple[str, ...], reason: str | None) -> None:
    steps: list[str] = []

    def reply(line: str) -> str | None:
        if line.startswith("AUTH PLAIN"):
            return "235 welcome"
        if line.startswith("AUTH"):
            steps.append(line)
            return "334 " + ("PDFAeD4=" if "CRAM" in line else "VXNlcm5hbWU6")
        if steps and line[:4] not in ("QUIT", "MAIL"):
            steps.append(line)
            return "334 UGFzc3dvcmQ6" if steps[0] == "AUTH LOGIN" and len(steps) == 2 else "235 welcome"
        return None

    with scripted(lambda talk: smtp(talk, *extensions, reply=reply)) as submission:
        assert why(LINKS, server(SMTP, submission.port, auth=auth)) == reason
    assert not submission.heard_any("MAIL FROM")
    assert (reason is not None) or submission.heard[-1] == b"quit"
    if auth == CRAM_MD5:
        assert not submission.heard_any("PLAIN")


def test_both_servers_are_tried_whatever_becomes_of_either(foreign: DovecotMail) -> None:
    incoming = server(IMAP, foreign.imap)
    welcome = {"AUTH": "235 welcome"}
    with scripted(lambda talk: smtp(talk, "AUTH PLAIN", reply=lambda line: welcome.get(line[:4]))) as good:
        outgoing = server(SMTP, good.port)
        check = [
            probe.check(LINKS, Servers(one, other), PASSWORD, PASSWORD, name="mail.server.test")
            for one in (incoming, replace(incoming, port=1))
            for other in (outgoing, replace(outgoing, port=1))
        ]
    refused = "Connection refused"
    assert check == [Verdict(None, None), Verdict(None, refused), Verdict(refused, None), Verdict(refused, refused)]


@pytest.mark.parametrize(
    ("said", "lasting"),
    [
        ("NO [AUTHENTICATIONFAILED] no", True),
        ("NO no", True),
        ("NO [UNAVAILABLE] the directory is down", False),
        ("NO [LIMIT] too many sessions", False),
    ],
)
def test_only_a_refusal_of_the_credentials_counts_as_a_failed_login(said: str, lasting: bool) -> None:
    with (
        scripted(lambda talk: (imap_login(talk, reply=said), None)[1]) as refusing,
        pytest.raises(Failure) as caught,
    ):
        probe.incoming_session(LINKS, server(IMAP, refusing.port), PASSWORD)
    assert caught.value.refused_login is lasting


@pytest.mark.parametrize("said", ["* BYE too many sessions", "* PREAUTH hello", "HTTP/1.1 200 OK", "\x00\xff", ""])
@pytest.mark.parametrize("protocol", [IMAP, POP3, SMTP])
def test_servers_of_another_kind(protocol: str, said: str) -> None:
    with scripted(lambda talk: talk.say(said)) as odd:
        reason = why(LINKS, server(protocol, odd.port))
    assert reason
    assert reason.isprintable() and len(reason) <= 300


@pytest.mark.parametrize("challenge", ["x", "?", "\xff", ""])
def test_a_challenge_that_is_not_base64(challenge: str) -> None:
    script = lambda talk: smtp(talk, "AUTH LOGIN", reply=lambda line: f"334 {challenge}" if "AUTH" in line else None)  # noqa: E731
    with scripted(script) as odd:
        assert why(LINKS, server(SMTP, odd.port))


@pytest.mark.parametrize("login", ['quo"ted\\name', "with blank", "\u043f\u043e\u0447\u0442\u0430"])
def test_logins_of_any_letters_go_as_one_word(login: str) -> None:
    heard: list[str] = []
    with scripted(lambda talk: heard.append(imap_login(talk))) as plain:
        why(LINKS, server(IMAP, plain.port, login=login), 'pass"word\\ 1')
    quoted = login.replace("\\", "\\\\").replace('"', '\\"')
    assert heard == [f'LOGIN "{quoted}" "pass\\"word\\\\ 1"']


@pytest.mark.parametrize(
    ("protocol", "first", "again", "last"),
    [
        (SMTP, "", "220-" + "x" * 500, "220 hello"),
        (POP3, "+OK hello\r\n+OK\r\n", "x" * 500, "."),
        (IMAP, "* OK hello\r\n", "* OK " + "x" * 500, "* BYE"),
    ],
)
def test_answers_of_any_number_of_lines_are_not_kept(protocol: str, first: str, again: str, last: str) -> None:
    def script(talk: Talk) -> None:
        talk.send(first.encode())
        talk.say(*[again] * (3 * LOGIN_BYTES // len(again)), last)
        talk.wait()

    with scripted(script) as talkative:
        assert why(LINKS, server(protocol, talkative.port)) == "the server sends more than was asked for"
