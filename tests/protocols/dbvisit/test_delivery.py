"""test really sends, and says why when it cannot. Checklist 6, 15 to 17."""

import base64
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from mailsvc.core.smtp_profile import INSTALLATION
from mailsvc.courier.routes import Limits, Route
from mailsvc.courier.tls import client_context
from mailsvc.services import smtp_profiles
from mailsvc.services.outgoing import AT_ONCE
from mailsvc.services.ports import Ports
from tests.protocols.dbvisit.calling import ON_SQLITE, Program, parsed
from tests.servers.certificates import Authority, self_signed
from tests.servers.smtp import Peer, Sane, Scripted, scripted

pytestmark = ON_SQLITE

SENT = {"message": "test email sent to a@b.example"}
SECRET = "Canary-smtp-secret"


def settings(server: Scripted, **more: Any) -> dict[str, Any]:
    """Settings that lead to ``server``."""
    return {"smtp_host": "127.0.0.1", "smtp_port": server.port, "from_email": "panel@example.com"} | more


def send(root: Program, to: Any = "a@b.example") -> dict[str, Any]:
    return root.result("test", {"to": to})


def failure(root: Program) -> str:
    """Why the message was not sent."""
    status, message = root.refusal("test", {"to": "a@b.example"})
    assert status == 400 and message.startswith("sending failed: ")
    return message.removeprefix("sending failed: ")


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority in the place of the system's."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    client_context.cache_clear()
    yield authority
    client_context.cache_clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short time limits."""
    route = smtp_profiles.route

    def quick(*arguments: Any) -> Route:
        return replace(route(*arguments), limits=Limits(connect=0.3, greeting=0.3, reply=0.3, total=1))

    monkeypatch.setattr(smtp_profiles, "route", quick)


def test_the_message_that_arrives(root: Program) -> None:
    sane = Sane()
    with scripted(sane) as server:
        root.result("edit", settings(server, from_email="Panel Ä <panel@example.com>"))
        assert send(root) == SENT
    (received,) = sane.received
    assert (received.sender, received.recipients, received.user) == ("panel@example.com", ["a@b.example"], None)
    message = message_from_bytes(received.content, policy=SMTP)
    assert message["Subject"] == "Test email" and message["To"] == "a@b.example"
    assert message["From"].addresses[0].display_name == "Panel Ä"
    assert message["Date"].datetime and re.fullmatch(r"<[^<>@\s]+@example\.com>", message["Message-Id"])
    assert message.get_content_type() == "text/plain" and "mail.server.test" in message.get_content()
    assert server.heard[0] == "EHLO mail.server.test"


@pytest.mark.parametrize(
    "to",
    [
        None, "", " ", 1, True, [], ["a@b.example"], {}, "a", "@b.example", "a@", "a@b.example,c@d.example",
        "a@b.example c@d.example", "Name <a@b.example>", "<a@b.example>", "a@b.example\r\nBcc: c@d.example",
        "a@b.example\n", "a\0@b.example", "a@b..example", "a b@b.example", '"a b"@b.example', "a@b.example>",
        "a@@b.example", "a@b_c.example", "x" * 243 + "@b.example", "a@b.example;c@d.example", "a@[127.0.0.1]",
        ".a@b.example", "a@b.example ",
    ],
)  # fmt: skip
def test_what_is_no_one_address_sends_nothing(to: Any, root: Program) -> None:
    with scripted(Sane()) as server:
        root.result("edit", settings(server))
        assert root.refusal("test", {"to": to}) == (400, "to must be an e-mail address")
    assert server.connections == 0
    assert root.refusal("test") == (400, "to must be an e-mail address")


@pytest.mark.parametrize("to", ["A.B+c@B.Example", "o'brien@b.example", "root@localhost", "a@münchen.example"])
def test_addresses_that_are_taken(to: str, root: Program) -> None:
    sane = Sane(extensions=[])
    with scripted(sane) as server:
        root.result("edit", settings(server))
        assert send(root, to) == {"message": f"test email sent to {to}"}
    local, _, domain = to.rpartition("@")
    assert sane.received[0].recipients == [f"{local}@{domain.lower().encode('idna').decode()}"]


def test_a_recipient_of_another_script_needs_a_server_that_takes_it(root: Program) -> None:
    for extensions, done in ((["SMTPUTF8", "8BITMIME"], True), ([], False)):
        with scripted(Sane(extensions=extensions)) as server:
            root.result("edit", settings(server))
            assert (root.post("test", {"to": "почта@b.example"}).status_code == 200) is done


def test_what_is_missing_in_its_order(root: Program) -> None:
    assert root.refusal("test", {"to": "x"}) == (400, "to must be an e-mail address")
    assert root.refusal("test", {"to": "a@b.example"}) == (400, "smtp_host is not set")
    root.result("edit", {"from_email": "string"})
    assert root.refusal("test", {"to": "a@b.example"}) == (400, "smtp_host is not set")
    root.result("edit", {"smtp_host": "127.0.0.1"})
    for sender in ("string", "", "a@b.example, c@d.example", "Name <string>", "<>", "Name", "a@b <c@d.example>x"):
        root.result("edit", {"from_email": sender})
        assert root.refusal("test", {"to": "a@b.example"}) == (400, "from_email is not a valid address"), sender


def test_nothing_but_to_is_read(root: Program) -> None:
    sane = Sane()
    with scripted(sane) as server:
        root.result("edit", settings(server))
        assert root.result(
            "test", {"to": "a@b.example", "smtp_host": "other.invalid", "smtp_port": "x", "from_email": 1}
        )
    assert len(sane.received) == 1


def test_plain_ignores_starttls_and_starttls_insists(root: Program, trusted: Authority) -> None:
    sane = Sane(starttls=trusted.pair("127.0.0.1").context())
    with scripted(sane) as server:
        root.result("edit", settings(server, encryption="Plain"))
        send(root)
        root.result("edit", {"encryption": "StartTLS"})
        send(root)
    assert [received.secured for received in sane.received] == [False, True]
    with scripted(Sane()) as server:
        root.result("edit", {"smtp_port": server.port})
        assert failure(root) == "the server does not offer STARTTLS"


def test_tls_from_the_first_byte(root: Program, trusted: Authority) -> None:
    sane = Sane(secured=True)
    with scripted(sane, trusted.pair("127.0.0.1").context()) as server:
        root.result("edit", settings(server, encryption="TLS"))
        send(root)
    assert len(sane.received) == 1


@pytest.mark.parametrize("encryption", ["StartTLS", "TLS"])
def test_a_certificate_of_its_own(encryption: str, root: Program, tmp_path: Path) -> None:
    context = self_signed(tmp_path, "127.0.0.1").context()
    sane = Sane(starttls=context)
    with scripted(sane, context if encryption == "TLS" else None) as server:
        root.result("edit", settings(server, encryption=encryption, username="u", password=SECRET))
        assert failure(root).startswith("certificate not trusted: ")
        assert not [line for line in server.heard if line.startswith("AUTH")]
        root.result("edit", {"allow_selfsigned_certs": True, "username": ""})
        assert send(root) == SENT


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_each_mechanism(mechanism: str, root: Program) -> None:
    sane = Sane(mechanisms=[mechanism], users={"panel": SECRET})
    with scripted(sane) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        send(root)
        root.result("edit", {"password": "Canary-another"})
        assert failure(root) == "535 5.7.8 Authentication credentials invalid"
    assert [received.user for received in sane.received] == ["panel"]


def test_no_mechanism(root: Program) -> None:
    with scripted(Sane()) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        assert failure(root) == "the server offers none of AUTH PLAIN, LOGIN, CRAM-MD5"


def test_without_password_and_without_user(root: Program) -> None:
    sane = Sane(mechanisms=["PLAIN"], users={"panel": SECRET, "": ""})
    with scripted(sane) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        send(root)
        root.result("edit", {"password": ""})
        assert failure(root).startswith("535")
        assert server.heard[-2] == "AUTH PLAIN " + base64.b64encode(b"\0panel\0").decode()
        root.result("edit", {"password": SECRET, "username": ""})
        send(root)
    assert [received.user for received in sane.received] == ["panel", None]


def test_clear_and_a_user_name_do_not_bring_the_password_back(root: Program) -> None:
    sane = Sane(mechanisms=["PLAIN"], users={"panel": SECRET})
    with scripted(sane) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        root.result("clear")
        root.result("edit", settings(server, username="panel"))
        assert failure(root).startswith("535")


@pytest.mark.parametrize(
    "echo",
    [SECRET, base64.b64encode(SECRET.encode()).decode(), base64.b64encode(f"\0panel\0{SECRET}".encode()).decode()],
)
def test_a_server_that_repeats_the_password(echo: str, root: Program) -> None:
    sane = Sane(mechanisms=["PLAIN"], refuse_login=f"535-no\r\n535 not <{echo}>\x1b[2J \xe4" + "x" * 600)
    with scripted(sane) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        text = failure(root)
    assert text.startswith("535 no not <***> [2J ä") and len(text) == 300 and text.isprintable()


@pytest.mark.parametrize(
    ("sane", "text"),
    [
        (Sane(refuse_sender="550 not you"), "550 not you"),
        (Sane(refuse_recipients={"a@b.example": "550 5.1.1 nobody"}), "550 5.1.1 nobody"),
        (Sane(refuse_data="451 later"), "451 later"),
        (Sane(refuse_message="554 spam"), "554 spam"),
    ],
)
def test_refusals(sane: Sane, text: str, root: Program) -> None:
    with scripted(sane) as server:
        root.result("edit", settings(server))
        assert failure(root) == text


def test_nobody_listens(root: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    root.result("edit", {"smtp_host": "127.0.0.1", "smtp_port": port, "from_email": "a@b.example"})
    assert failure(root) == f"connection refused: 127.0.0.1:{port}"
    root.result("edit", {"smtp_host": "no-such-host.invalid"})
    assert failure(root).startswith("host not found")


@pytest.mark.usefixtures("impatient")
def test_a_silent_server(root: Program) -> None:
    with scripted(Peer.wait_until_gone) as server:
        root.result("edit", settings(server))
        assert failure(root) == "the server did not greet in time"


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "100.100.100.200"])
def test_a_forbidden_address_is_not_dialled(host: str, root: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    root.result("edit", {"smtp_host": host, "from_email": "a@b.example"})
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("dialled"))
    assert failure(root) == "address not allowed"


def test_usual_ports(root: Program, monkeypatch: pytest.MonkeyPatch, ports: Ports) -> None:
    dialled: list[int] = []

    def connect(_targets: object, _host: str, port: int, _seconds: float) -> socket.socket:
        dialled.append(port)
        raise ConnectionRefusedError

    monkeypatch.setattr(type(ports.targets), "connect", connect)
    root.result("edit", {"smtp_host": "mail.test", "from_email": "a@b.example"})
    for encryption in ("Plain", "StartTLS", "TLS"):
        root.result("edit", {"encryption": encryption})
        failure(root)
    assert dialled == [25, 587, 465]


def test_the_time_limits_of_the_contract(root: Program, ports: Ports) -> None:
    root.result("edit", {"smtp_host": "mail.test"})
    kept = smtp_profiles.found(ports, INSTALLATION)
    assert kept is not None
    assert smtp_profiles.route(ports, INSTALLATION, kept).limits == Limits(connect=15, greeting=30, reply=30, total=60)


def test_a_password_that_does_not_open(root: Program, ports: Ports) -> None:
    sane = Sane(mechanisms=["PLAIN"], users={"panel": "new"})
    with scripted(sane) as server:
        root.result("edit", settings(server, username="panel", password=SECRET))
        ports.settings.key_file.write_bytes(Fernet.generate_key() + b"\n")
        assert root.result("show")["username"] == "panel"
        assert root.refusal("test", {"to": "a@b.example"}) == (400, "stored password cannot be read, set it again")
        assert root.result("edit", {"smtp_host": "localhost"})["smtp_host"] == "localhost"
        root.result("edit", {"password": "new"})
        assert send(root) == SENT


def test_too_many_at_once(root: Program, ports: Ports) -> None:
    with scripted(Sane()) as server, ExitStack() as others:
        root.result("edit", settings(server))
        for _ in range(AT_ONCE):
            others.enter_context(ports.outgoing.turn())
        assert failure(root) == "too many messages are being sent, try again later"
        others.close()
        assert send(root) == SENT
    assert server.connections == 1


def test_a_result_has_nothing_else(root: Program) -> None:
    with scripted(Sane()) as server:
        root.result("edit", settings(server))
        assert parsed(root.post("test", {"to": "a@b.example"})) == {"result": SENT, "successful": True}
