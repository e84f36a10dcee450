"""mailsvc's courier hands mail to the real Postfix, secured and authenticated as its settings say."""

from collections.abc import Iterator

import pytest

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS
from mailsvc.courier.messages import compose, to_send
from mailsvc.courier.routes import Step, Why
from mailsvc.courier.smtp import Message
from mailsvc.courier.tls import client_context
from tests.courier.sending import failure, sent
from tests.mailhost.host import SECRET, SENDER, Host, subject

OWN = "courier@example.org"


@pytest.fixture(autouse=True)
def _trusting(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The certificate of this run is trusted, and no other."""
    monkeypatch.setenv("SSL_CERT_FILE", str(host.site.directory / "tls/fullchain.pem"))
    client_context.cache_clear()
    yield
    client_context.cache_clear()


@pytest.fixture
def own(host: Host) -> Iterator[str]:
    """A mailbox that is gone after the test."""
    host.add(OWN)
    yield OWN
    assert host.call("delmail", email=OWN) == 0


def message(title: str, *recipients: str, sender: str = OWN) -> Message:
    text = ".\n..\nFrom here on, a line with dots and an ü.\n" + "x" * 3000 + "\n"
    return to_send(compose(sender=sender, sender_name="Jürgen", recipients=recipients, subject=title, text=text))


def test_every_way_in(host: Host, own: str) -> None:
    ports = host.site.ports
    for number, (port, security, mechanism) in enumerate(
        (
            (ports.submission, STARTTLS, None),
            (ports.submission, OPPORTUNISTIC, "PLAIN"),
            (ports.submissions, TLS, None),
            (ports.submissions, TLS, "PLAIN"),
        )
    ):
        letter = message(f"way {number}", own)
        delivery = sent(port, security, letter, username=own, password=SECRET, mechanism=mechanism)
        assert delivery.accepted == [own] and delivery.response.code == 250
    sent(ports.smtp, PLAIN, message("way 4", own, sender=SENDER))
    host.wait_for_delivery()
    arrived = host.messages(own)
    assert sorted(map(subject, arrived)) == [f"way {number}" for number in range(5)]
    assert all(b"\r\n\r\n.\r\n..\r\nFrom here on" in letter for letter in arrived)


def test_some_recipients_refused(host: Host, own: str) -> None:
    letter = message("partly", "nobody@example.org", own, sender=SENDER)
    delivery = sent(host.site.ports.smtp, PLAIN, letter)
    assert (delivery.accepted, delivery.rejected) == ([own], ["nobody@example.org"])
    host.wait_for_delivery()
    assert host.inbox(own) == ["partly"]


def test_what_postfix_refuses(host: Host, own: str) -> None:
    ports = host.site.ports
    failed = failure(ports.smtp, PLAIN, message("x", "a@elsewhere.test", sender=SENDER))
    assert (failed.why, failed.step) == (Why.RECIPIENTS_REFUSED, Step.SEND) and failed.reply is not None
    assert failure(ports.submission, PLAIN, message("x", own), username=own, password=SECRET).step is Step.AUTHENTICATE
    assert failure(ports.submission, PLAIN, message("x", own)).why in (Why.SENDER_REFUSED, Why.RECIPIENTS_REFUSED)
    assert failure(ports.submission, TLS, message("x", own)).why is Why.TLS_FAILED
    failed = failure(
        ports.submissions, TLS, message("x", own, sender="other@example.org"), username=own, password=SECRET
    )
    assert failed.step is Step.SEND


def test_certificates_need_not_be_trusted(host: Host, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    client_context.cache_clear()
    for port, security in ((host.site.ports.submission, STARTTLS), (host.site.ports.submissions, TLS)):
        sent(port, security, message("trusting", own), username=own, password=SECRET, verify=False)
    host.wait_for_delivery()
    assert host.inbox(own) == ["trusting"] * 2
