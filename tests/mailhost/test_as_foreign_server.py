"""The whole mail host as somebody else's: a real Postfix, and Dovecot behind it, that prove an account by a login."""

import pytest

from mailsvc.core.mail_accounts import IMAP, LOGIN, POP3, SMTP, STARTTLS, TLS, MailServer, Servers
from mailsvc.courier import probe
from mailsvc.courier.links import Links
from mailsvc.courier.probe import Verdict
from mailsvc.courier.targets import Targets
from tests.mailhost.host import SECRET, Host

LINKS = Links(Targets(()), verify=False, connect_seconds=30, login_seconds=30)

REFUSED = "535: 5.7.8 Error: authentication failed:"


@pytest.mark.parametrize(("port", "encryption"), [("submission", STARTTLS), ("submissions", TLS)])
@pytest.mark.parametrize("protocol", [IMAP, POP3])
def test_an_account_is_proved_by_a_login(host: Host, protocol: str, port: str, encryption: int) -> None:
    address = f"proved-{protocol}-{port}@example.org"
    host.add(address)
    incoming_port = host.site.ports.imaps if protocol == IMAP else host.site.ports.pop3s
    servers = Servers(
        MailServer(protocol, "127.0.0.1", incoming_port, address, TLS, LOGIN),
        MailServer(SMTP, "127.0.0.1", getattr(host.site.ports, port), address, encryption, LOGIN),
    )
    assert probe.check(LINKS, servers, SECRET, SECRET, name="client.test") == Verdict(None, None)
    wrong = probe.check(LINKS, servers, "wrong", "wrong", name="client.test")
    assert "Authentication failed" in str(wrong.incoming)
    assert str(wrong.outgoing).startswith(REFUSED)
