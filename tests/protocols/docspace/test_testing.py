"""The test message, against servers that take it and servers that do not (contract, section 5; checklist 18 to 25)."""

import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from mailsvc.core.acts import ROOT
from mailsvc.core.smtp_profile import STARTTLS, TLS
from mailsvc.courier.targets import Targets
from mailsvc.services import tokens, users
from mailsvc.services.ports import Ports
from tests.application import act
from tests.protocols.docspace.portal import STATUS, TEST, Portal, cookie, links, set_installation
from tests.servers.certificates import Authority, self_signed
from tests.servers.smtp import Peer, Sane, Scripted, scripted
from tests.service.running import wait_until
from tests.services.callers import found, last_audit_entry

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

Members = dict[str, Any]


def begin(portal: Portal) -> Members:
    """Ask for a test. Gives the job."""
    response = portal.get(TEST)
    assert response.status_code == 200, response.text
    job: Members = response.json["response"]
    return job


def ended(portal: Portal) -> Members:
    """Poll the status until the test has ended."""
    seen: list[Members] = []

    def has_ended() -> bool:
        seen.append(portal.get(STATUS).json["response"])
        return bool(seen[-1]["completed"])

    wait_until(has_ended, "the end of the test")
    percents = [job["percents"] for job in seen]
    assert percents == sorted(percents)
    return seen[-1]


def result(portal: Portal) -> Members:
    """Test, and what comes of it."""
    job, end = begin(portal), ended(portal)
    assert end.pop("id") == job["id"]
    return end


def failed(percents: int, status: str, error: str) -> Members:
    """A test that got no further."""
    return {"completed": True, "error": error, "status": status, "percents": percents}


SENT = {"completed": True, "error": "", "status": "Send test message", "percents": 100}


def save(portal: Portal, port: int, **more: Any) -> None:
    """Point the portal at a server of this machine."""
    members = {"host": "127.0.0.1", "port": port, "senderAddress": "a@x.org", "senderDisplayName": "Portal"}
    assert portal.save(members | more).status_code == 200


def credentials(password: str = "secret") -> Members:
    """The members that ask for authentication."""
    return {"enableAuth": True, "credentialsUserName": "u", "credentialsUserPassword": password}


def message_in(server: Sane) -> EmailMessage:
    """The one message that came in."""
    (received,) = server.received
    return email.message_from_bytes(received.content, policy=email.policy.default)


def second_root(ports: Ports, address: str) -> dict[str, str]:
    """The proof of another root user, who can be reached at ``address``."""
    users.add(ports, act(), name="second", password="Panel-3", role=ROOT, email=address)
    return cookie(tokens.add_key(ports, act(), user="second"))


def test_a_message_is_sent_to_the_sender(root: Portal, ports: Ports) -> None:
    taking = Sane()
    with scripted(taking) as server:
        save(root, server.port, senderDisplayName="Pört@l, Имя")
        response = root.get(TEST)
        job = response.json["response"]
        assert response.text == (
            f'{{"response":{{"completed":false,"id":"{job["id"]}","error":"","status":"","percents":0}},'
            f'"count":1,{links(TEST, "GET")},"status":0,"statusCode":200}}'
        )
        assert last_audit_entry(ports) == ("docspace", "testSmtpSettings", "root", "root", "portal", "done", 200)
        assert list(ended(root)) == ["completed", "id", "error", "status", "percents"]
        status = root.get(STATUS)
    assert (status.status_code, status.text) == (
        200,
        f'{{"count":0,{links(STATUS, "GET")},"status":0,"statusCode":200}}',
    )
    (received,) = taking.received
    assert (received.sender, received.recipients) == ("a@x.org", ["a@x.org"])
    message = message_in(taking)
    assert message["Subject"] == "SMTP test message"
    assert message["Auto-Submitted"] == "auto-generated"
    (author,) = message["From"].addresses
    assert (author.display_name, author.addr_spec) == ("Pört@l, Имя", "a@x.org")
    assert message["To"] == "a@x.org"
    assert message["Date"].datetime and message["Message-ID"].endswith("@x.org>")
    assert (message.get_content_type(), message.get_content_charset()) == ("text/plain", "utf-8")
    assert "mail.server.test" in message.get_content()


@SQLITE
def test_a_message_is_sent_to_the_callers_contact_address(client: FlaskClient, ports: Ports) -> None:
    second = Portal(client, second_root(ports, "Second@Example.org"))
    taking = Sane(mechanisms=("LOGIN",), users={"u": "secret"})
    with scripted(taking) as server:
        save(second, server.port, senderDisplayName="", **credentials())
        assert result(second) == SENT
    (received,) = taking.received
    assert (received.sender, received.recipients) == ("a@x.org", ["Second@example.org"])
    assert (received.user, received.password) == ("u", "secret")
    assert message_in(taking)["From"] == "ONLYOFFICE Postman <a@x.org>"


@SQLITE
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_each_mechanism(root: Portal, mechanism: str) -> None:
    taking = Sane(mechanisms=("XOAUTH2", mechanism), users={"u": "пароль"})
    with scripted(taking) as server:
        save(root, server.port, **credentials("пароль"))
        assert result(root) == SENT


@SQLITE
def test_a_refused_password(root: Portal) -> None:
    with scripted(Sane(mechanisms=("PLAIN",), refuse_login="535 5.7.8 {password}\tis wrong, {password}")) as server:
        save(root, server.port, **credentials("s3cret"))
        assert result(root) == failed(60, "Authenticate", "535: 5.7.8 *** is wrong, ***")


@SQLITE
def test_no_mechanism_of_ours(root: Portal) -> None:
    with scripted(Sane(mechanisms=("XOAUTH2",))) as server:
        save(root, server.port, **credentials())
        end = result(root)
    assert (end["percents"], end["status"]) == (60, "Authenticate")
    assert end["error"] == "The server does not support the requested authentication mechanism."
    assert "AUTH" not in server.verbs


@SQLITE
@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        ({"refuse_sender": "550 5.1.8 not you"}, "550: 5.1.8 not you"),
        ({"refuse_recipients": {"a@x.org": "451 4.7.1 later"}}, "451: 4.7.1 later"),
        ({"refuse_data": "554 no"}, "554: no"),
        ({"refuse_message": "552 5.3.4 " + "x" * 400}, ("552: 5.3.4 " + "x" * 400)[:300]),
    ],
    ids=str,
)
def test_a_refused_message(root: Portal, knobs: dict[str, Any], error: str) -> None:
    with scripted(Sane(**knobs)) as server:
        save(root, server.port)
        assert result(root) == failed(80, "Send test message", error)


@SQLITE
def test_starttls_is_required_where_it_is_asked_for(root: Portal) -> None:
    with scripted(Sane(mechanisms=("PLAIN",))) as server:
        save(root, server.port, enableSSL=True, **credentials())
        text = "The SMTP server does not support the STARTTLS extension."
        assert result(root) == failed(40, "Connect to host", text)
    assert "AUTH" not in server.verbs and "MAIL" not in server.verbs


@SQLITE
def test_starttls_is_not_used_where_it_is_not(root: Portal, tmp_path: Path) -> None:
    taking = Sane(starttls=self_signed(tmp_path, "127.0.0.1").context())
    with scripted(taking) as server:
        save(root, server.port)
        assert result(root) == SENT
    assert "STARTTLS" not in server.verbs
    assert not taking.received[0].secured


@SQLITE
def test_starttls_with_a_certificate_that_is_vouched_for(root: Portal, trusted: Authority) -> None:
    taking = Sane(starttls=trusted.pair("127.0.0.1").context())
    with scripted(taking) as server:
        save(root, server.port, enableSSL=True)
        assert result(root) == SENT
    assert taking.received[0].secured


@SQLITE
def test_port_465_is_tls_from_the_first_byte(root: Portal, trusted: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    taking = Sane(secured=True)
    with scripted(taking, trusted.pair("127.0.0.1").context()) as server:
        dial = Targets.connect

        def redirected(targets: Targets, host: str, port: int, seconds: float) -> socket.socket:
            assert port == 465
            return dial(targets, host, server.port, seconds)

        monkeypatch.setattr(Targets, "connect", redirected)
        save(root, 465, enableSSL=True)
        assert result(root) == SENT
    assert "STARTTLS" not in server.verbs


UNVERIFIED = failed(40, "Connect to host", "The server certificate could not be verified.")


@SQLITE
def test_a_certificate_that_nobody_vouches_for(root: Portal, ports: Ports, tmp_path: Path) -> None:
    taking = Sane(starttls=self_signed(tmp_path, "127.0.0.1").context())
    with scripted(taking) as server:
        save(root, server.port, enableSSL=True)
        assert result(root) == UNVERIFIED
        root.delete()
        facts: Members = {"host": "127.0.0.1", "port": server.port, "security": STARTTLS}
        set_installation(ports, sender="Box <box@x.org>", **facts)
        assert result(root) == UNVERIFIED
        set_installation(ports, verify=False)
        assert result(root) == SENT
    assert taking.received[0].sender == "box@x.org"


class TestAnyCertificate:
    """MAILSVC_ALLOW_INVALID_CERTS=1."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"ALLOW_INVALID_CERTS": "1"}

    @SQLITE
    def test_it_is_taken(self, root: Portal, tmp_path: Path) -> None:
        with scripted(Sane(starttls=self_signed(tmp_path, "other.test").context())) as server:
            save(root, server.port, enableSSL=True)
            assert result(root) == SENT


@SQLITE
def test_the_installations_profile_says_itself_how(root: Portal, ports: Ports, trusted: Authority) -> None:
    with scripted(Sane(secured=True), trusted.pair("127.0.0.1").context()) as server:
        set_installation(ports, host="127.0.0.1", port=server.port, security=TLS, sender="box@x.org")
        assert result(root) == SENT


@SQLITE
@pytest.mark.parametrize("found_as", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"])
def test_where_nobody_may_connect_to(root: Portal, monkeypatch: pytest.MonkeyPatch, found_as: str) -> None:
    def look_up(*_: object, **__: object) -> list[Any]:
        family = socket.AF_INET6 if ":" in found_as else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (found_as, 25, 0, 0) if ":" in found_as else (found_as, 25))]

    dialled: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.setattr("socket.socket.connect", lambda _, address: dialled.append(address))
    save(root, 25, host="metadata.test")
    assert result(root) == failed(40, "Connect to host", "Connection to this address is not allowed.")
    assert dialled == []


@SQLITE
def test_nobody_listens(root: Portal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    save(root, port)
    assert result(root) == failed(40, "Connect to host", "The connection was refused.")
    save(root, port, host="nowhere.invalid")
    end = result(root)
    assert end["percents"] == 40 and end["error"]


@SQLITE
def test_nothing_to_send_with(root: Portal, ports: Ports) -> None:
    assert result(root) == failed(20, "Create mime message", "Empty sender address.")
    set_installation(ports, sender="box@x.org")
    assert result(root) == failed(40, "Connect to host", "Empty smtp host.")
    save(root, 25, senderAddress="no address")
    end = result(root)
    assert (end["percents"], end["status"]) == (20, "Create mime message")
    assert end["error"] == "The address of the sender or the recipient is not one that mail can be sent with."


class TestOneOfManyTenants:
    """MAILSVC_DOCSPACE_DEFAULT=saas."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"DOCSPACE_DEFAULT": "saas"}

    @SQLITE
    def test_what_is_hidden_is_used(self, root: Portal, ports: Ports) -> None:
        with scripted(Sane()) as server:
            set_installation(ports, host="127.0.0.1", port=server.port, sender="box@x.org")
            assert result(root) == SENT


@SQLITE
def test_the_key_that_sealed_the_password_is_gone(root: Portal, ports: Ports) -> None:
    save(root, 25, **credentials())
    ports.settings.key_file.unlink()
    assert result(root) == failed(15, "Find user data", "The stored password cannot be opened.")


@SQLITE
def test_our_own_failure(root: Portal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("within")

    monkeypatch.setattr("mailsvc.courier.messages.compose", break_down)
    save(root, 25)
    assert result(root) == failed(20, "Create mime message", "Internal Server Error")
    wait_until(lambda: "RuntimeError: within" in caplog.text, "the log line")


@contextmanager
def waiting() -> Iterator[tuple[Scripted, threading.Event]]:
    """A server that takes a message as soon as the event is set, and its event."""
    go_on = threading.Event()
    taking = Sane()

    def script(peer: Peer) -> None:
        assert go_on.wait(60)
        taking(peer)

    with scripted(script) as server:
        try:
            yield server, go_on
        finally:
            go_on.set()


def test_two_tests_at_once_are_one(
    root: Portal, client: FlaskClient, other_process: FlaskClient, ports: Ports, root_key: str
) -> None:
    with waiting() as (server, go_on):
        save(root, server.port)
        job = begin(root)
        wait_until(lambda: server.connections == 1, "a connection")
        elsewhere = Portal(other_process, cookie(root_key))
        somebody_else = Portal(client, second_root(ports, "second@example.org"))
        for portal in (root, elsewhere, somebody_else):
            joined = begin(portal)
            assert joined == {
                "completed": False, "id": job["id"], "error": "", "status": "Connect to host", "percents": 40,
            }  # fmt: skip
            assert portal.get(STATUS).json["response"] == joined
        go_on.set()
        end = ended(elsewhere)
        assert (end["id"], end["percents"]) == (job["id"], 100)
        assert "response" not in root.get(STATUS).json
        assert server.connections == 1
        again = begin(root)
        assert again["id"] != job["id"]
        assert ended(root)["id"] == again["id"]
        assert begin(root)["id"] not in (job["id"], again["id"])
        ended(root)
    assert server.verbs.count("DATA") == 3


@SQLITE
def test_settings_are_read_when_the_test_begins(root: Portal) -> None:
    with waiting() as (server, go_on):
        save(root, server.port)
        begin(root)
        wait_until(lambda: server.connections == 1, "a connection")
        root.delete()
        go_on.set()
        assert ended(root)["percents"] == 100
    assert "MAIL FROM:<a@x.org>" in server.heard


def test_a_test_that_was_killed_is_interrupted(root: Portal, ports: Ports, other_process: FlaskClient) -> None:
    # As a process leaves it that is killed before its first step.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailsvc.protocols.docspace.testing.start", lambda *_: None)
        job = begin(root)
    assert root.get(STATUS).json["response"] == job
    pass_time(ports, 119)
    assert root.get(STATUS).json["response"]["completed"] is False
    pass_time(ports, 1)
    assert Portal(other_process, root._headers).get(STATUS).json["response"] == {
        "completed": True, "id": job["id"], "error": "The test was interrupted.", "status": "", "percents": 0,
    }  # fmt: skip
    assert "response" not in root.get(STATUS).json


def pass_time(ports: Ports, seconds: int) -> None:
    """Let the job's last progress, and the calls, be so much older."""
    with ports.store.writing() as unit:
        unit.exec_driver_sql(f"UPDATE smtp_test SET progressed_at = progressed_at - {seconds * 1000}")
        unit.exec_driver_sql(f"UPDATE smtp_test_call SET at = at - {seconds * 1000}")


def test_the_sixth_test_within_a_quarter_of_an_hour(root: Portal, client: FlaskClient, ports: Ports) -> None:
    for _ in range(5):
        result(root)
    for _ in range(2):
        response = root.get(TEST)
        assert (response.status_code, response.text) == (
            429,
            '{"error":{"message":"Too many requests","type":null,"stack":null,"hresult":0},"status":1,'
            '"statusCode":429}',
        )
        assert 1 <= int(response.headers["Retry-After"]) <= 900
    assert last_audit_entry(ports)[5:] == ("TooOften", 429)
    for _ in range(10):
        assert root.get(STATUS).status_code == 200
    somebody_else = Portal(client, second_root(ports, "second@example.org"))
    result(somebody_else)
    pass_time(ports, 900)
    result(root)
    assert found(ports, "SELECT count(*) FROM smtp_test_call") == [(1,)]


class TestNoLimit:
    """MAILSVC_DOCSPACE_TEST_LIMIT=0."""

    @pytest.fixture
    def more_settings(self) -> dict[str, str]:
        return {"DOCSPACE_TEST_LIMIT": "0"}

    @SQLITE
    def test_as_many_as_are_asked_for(self, root: Portal) -> None:
        for _ in range(7):
            result(root)


@SQLITE
def test_a_message_to_an_address_beyond_ascii(client: FlaskClient, ports: Ports) -> None:
    second = Portal(client, second_root(ports, "почта@пример.рф"))
    with scripted(Sane(extensions=())) as server:
        save(second, server.port)
        end = result(second)
        assert (end["percents"], end["error"]) == (80, "The SMTP server does not support addresses beyond ASCII.")
    taking = Sane()
    with scripted(taking) as server:
        save(second, server.port)
        assert result(second) == SENT
    assert taking.received[0].recipients == ["почта@xn--e1afmkfd.xn--p1ai"]
