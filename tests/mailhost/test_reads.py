"""What a reply of 0 promises, asked of the real servers: Postfix, Dovecot and PowerDNS see it at that instant."""

from collections.abc import Iterator
from pathlib import Path

import dns.rcode
import dns.rdatatype
import pytest
from flask.testing import FlaskClient

import config
from mailsvc.core.addresses import mail_address
from mailsvc.mailhost.render import rendered
from mailsvc.services import catch_alls, domains, mailboxes, zones
from mailsvc.services.ports import Ports
from mailsvc.startup import THE_SERVICE
from mailsvc.store import files
from tests.application import act
from tests.protocols.brainycp.panel import Panel
from tests.servers.dovecot import DovecotAuth, dovecot_auth
from tests.servers.places import layout_for
from tests.servers.postfix import postmap_lookup
from tests.servers.powerdns import PowerDns, powerdns

_RENDERED = rendered(layout_for(Path("/etc/database")), {})


def _query(name: str) -> str:
    """What the rendered map of that name asks."""
    return next(line for line in _RENDERED[f"postfix/{name}.cf"].splitlines() if line.startswith("query = "))[8:]


DOMAINS, MAILBOXES, ALIASES, SENDERS = map(_query, ("domains", "mailboxes", "aliases", "senders"))


@pytest.fixture
def engine() -> str:
    """The mail servers read SQLite."""
    return "sqlite"


@pytest.fixture
def database(settings: config.Settings) -> Path:
    """The file that they read."""
    assert settings.database_file is not None
    return settings.database_file


@pytest.fixture
def panel(client: FlaskClient) -> Panel:
    """alice's panel."""
    return Panel(client)


@pytest.fixture
def auth(database: Path) -> Iterator[DovecotAuth]:
    with dovecot_auth(database) as server:
        yield server


@pytest.fixture
def name_server(database: Path) -> Iterator[PowerDns]:
    with powerdns(database) as server:
        yield server


def succeeds(panel: Panel, operation: str, **fields: str) -> None:
    reply = panel.post(operation, **fields)
    assert reply["error"] == 0, reply


def add_mailbox(panel: Panel, address: str, password: str = "Box-1") -> None:
    succeeds(panel, "addmail", email=address, password=password, quota="0")


def test_postfix_delivers_to_a_mailbox_from_its_addition_to_its_removal(panel: Panel, database: Path) -> None:
    def found() -> list[list[str]]:
        return [postmap_lookup(database, query, "info@example.com") for query in (MAILBOXES, ALIASES, SENDERS)]

    assert found() == [[], [], []]
    add_mailbox(panel, "Info@Example.com")
    [[first], *others] = found()
    assert others == [["info@example.com"], ["info@example.com"]]
    succeeds(panel, "delmail", email="info@example.com")
    assert found() == [[], [], []]
    add_mailbox(panel, "info@example.com")
    [[second], *_] = found()
    assert second != first


def test_postfix_forwards_by_the_rule_as_it_stands(panel: Panel, database: Path) -> None:
    def targets() -> list[str]:
        return sorted(postmap_lookup(database, ALIASES, "old@example.com"))

    def forward(operation: str, **fields: str) -> None:
        succeeds(panel, operation, source="old@example.com", **fields)

    assert targets() == ["old@example.com"]
    forward("addforward", target="a@x.example,b@x.example")
    assert targets() == ["a@x.example", "b@x.example"]
    forward("addforward", target="c@x.example", save_local="1")
    assert targets() == ["a@x.example", "b@x.example", "c@x.example", "old@example.com"]
    forward("delforward", target="b@x.example")
    assert targets() == ["a@x.example", "c@x.example", "old@example.com"]
    succeeds(panel, "delmail", email="old@example.com")
    assert targets() == ["a@x.example", "c@x.example"]
    forward("delforward")
    assert targets() == []


def test_postfix_lets_the_owner_of_a_target_send_as_its_source(panel: Panel, database: Path) -> None:
    assert postmap_lookup(database, SENDERS, "sales@example.com") == []
    succeeds(panel, "addforward", source="sales@example.com", target="old@example.com,a@x.example")
    assert postmap_lookup(database, SENDERS, "sales@example.com") == ["old@example.com"]
    succeeds(panel, "delforward", source="sales@example.com", target="old@example.com")
    assert postmap_lookup(database, SENDERS, "sales@example.com") == []


def test_postfix_finds_addresses_with_every_sign_they_may_hold(panel: Panel, database: Path) -> None:
    add_mailbox(panel, "a.b_c-d+e@example.com")
    assert len(postmap_lookup(database, MAILBOXES, "a.b_c-d+e@example.com")) == 1
    source = "o'brien&co=#~x@example.com"
    succeeds(panel, "addforward", source=source, target="it's+me@x.example")
    assert postmap_lookup(database, ALIASES, source) == ["it's+me@x.example"]
    assert postmap_lookup(database, ALIASES, "x' OR '1'='1") == []


def test_postfix_accepts_mail_for_a_domain_while_it_is_here(ports: Ports, database: Path) -> None:
    assert postmap_lookup(database, DOMAINS, "second.test") == []
    domains.add(ports, act(), name="second.test", owner="alice")
    assert postmap_lookup(database, DOMAINS, "second.test") == ["second.test"]
    domains.remove(ports, act(), name="second.test")
    assert postmap_lookup(database, DOMAINS, "second.test") == []


def test_postfix_reads_on_after_the_service_has_ended(panel: Panel, ports: Ports, database: Path) -> None:
    add_mailbox(panel, "info@example.com")
    ports.store.close()
    files.make_readable(database)
    for _ in range(2):
        assert postmap_lookup(database, ALIASES, "info@example.com") == ["info@example.com"]


def test_dovecot_lets_the_owner_of_a_new_mailbox_in_and_nobody_else(panel: Panel, auth: DovecotAuth) -> None:
    assert not auth.login("info@example.com", "Box-1")
    add_mailbox(panel, "info@example.com")
    assert auth.login("info@example.com", "Box-1")
    assert not auth.login("info@example.com", "box-1")
    succeeds(panel, "delmail", email="info@example.com")
    assert not auth.login("info@example.com", "Box-1")
    add_mailbox(panel, "info@example.com", "Box-2")
    assert not auth.login("info@example.com", "Box-1")
    assert auth.login("info@example.com", "Box-2")


def test_dovecot_takes_every_password_that_a_mailbox_can_have(panel: Panel, auth: DovecotAuth) -> None:
    for number, password in enumerate((" two  blanks ", "пароль ☃", "a'b\"c\\d$e%u{f}", "x" * 256)):
        add_mailbox(panel, f"u{number}@example.com", password)
        assert auth.login(f"u{number}@example.com", password)


def test_dovecot_refuses_a_disabled_mailbox_and_an_old_password(ports: Ports, auth: DovecotAuth) -> None:
    old = mail_address("old@example.com")
    assert auth.login("old@example.com", "Box-0")
    mailboxes.disable(ports, act(), address=old)
    assert not auth.login("old@example.com", "Box-0")
    mailboxes.enable(ports, act(), address=old)
    assert auth.login("old@example.com", "Box-0")
    mailboxes.change_password(ports, act(), address=old, password="Box-9")
    assert not auth.login("old@example.com", "Box-0")
    assert auth.login("old@example.com", "Box-9")


def test_powerdns_answers_spf_while_it_is_on(panel: Panel, name_server: PowerDns) -> None:
    def serial() -> int:
        [answer] = name_server.query("example.com", "SOA").answer
        return int(answer[0].serial)

    seen = [serial()]
    assert name_server.txt("example.com") == []
    for operation, texts in (("onspf", ["v=spf1 mx ~all"]), ("offspf", []), ("onspf", ["v=spf1 mx ~all"])):
        succeeds(panel, operation, domain="example.com")
        assert name_server.txt("example.com") == texts
        seen.append(serial())
    assert seen == sorted(set(seen))
    assert name_server.txt("bob.test") == []


def test_powerdns_answers_the_key_in_one_piece_while_it_is_on(
    panel: Panel, ports: Ports, name_server: PowerDns
) -> None:
    name = "mail._domainkey.example.com"
    assert name_server.query(name, "TXT").rcode() == dns.rcode.NXDOMAIN
    succeeds(panel, "ondkim", domain="example.com")
    [wanted] = [record for record in zones.wanted(ports, THE_SERVICE, domain="example.com") if record.purpose == "DKIM"]
    assert len(wanted.value) > 255
    assert name_server.txt(name) == [wanted.value]
    above = name_server.query("_domainkey.example.com", "TXT")
    assert (above.rcode(), above.answer) == (dns.rcode.NOERROR, []), "else there is nothing below it (RFC 8020)"
    succeeds(panel, "offdkim", domain="example.com")
    assert name_server.query(name, "TXT").rcode() == dns.rcode.NXDOMAIN
    succeeds(panel, "ondkim", domain="example.com")
    assert name_server.txt(name) == [wanted.value]


def test_powerdns_tells_mail_clients_where_to_find_this_server(ports: Ports, name_server: PowerDns) -> None:
    def answer(name: str, kind: str) -> list[str]:
        return [str(record) for rrset in name_server.query(f"{name}.example.com", kind).answer for record in rrset]

    assert answer("_submissions._tcp", "SRV") == ["0 1 465 mail.server.test."]
    assert answer("_submission._tcp", "SRV") == ["10 1 587 mail.server.test."]
    assert answer("_imaps._tcp", "SRV") == ["0 1 993 mail.server.test."]
    assert answer("_imap._tcp", "SRV") == ["10 1 143 mail.server.test."]
    assert answer("_pop3s._tcp", "SRV") == ["20 1 995 mail.server.test."]
    for kind in ("CNAME", "A"):
        assert answer("autoconfig", kind) == ["mail.server.test."]
    above = name_server.query("_tcp.example.com", "SRV")
    assert (above.rcode(), above.answer) == (dns.rcode.NOERROR, [])
    assert name_server.query("_udp.example.com", "SRV").rcode() == dns.rcode.NXDOMAIN
    served = {(one.name, one.type) for one in zones.wanted(ports, THE_SERVICE, domain="example.com") if one.published}
    assert len(served) == 7 and all(name_server.query(name, kind).answer for name, kind in served)


def test_powerdns_answers_a_dmarc_policy_while_spf_or_dkim_is_on(panel: Panel, name_server: PowerDns) -> None:
    assert name_server.query("_dmarc.example.com", "TXT").rcode() == dns.rcode.NXDOMAIN
    for operation, texts in (("onspf", 1), ("ondkim", 1), ("offspf", 1), ("offdkim", 0)):
        succeeds(panel, operation, domain="example.com")
        assert name_server.txt("_dmarc.example.com") == ["v=DMARC1; p=none"] * texts


CATCH_ALL = "SELECT target FROM postfix_catch_all WHERE domain = substr('%s', 2) AND substr('%s', 1, 1) = '@'"


def test_postfix_catches_what_nobody_takes(ports: Ports, database: Path) -> None:
    def caught() -> list[str]:
        return postmap_lookup(database, CATCH_ALL, "@example.com")

    assert caught() == []
    catch_alls.direct(ports, act(), domain="example.com", target=mail_address("old@example.com"))
    assert caught() == ["old@example.com"]
    assert postmap_lookup(database, CATCH_ALL, "@bob.test") == []
    assert postmap_lookup(database, ALIASES, "old@example.com") == ["old@example.com"], "asked first"
    mailboxes.remove(ports, act(), address=mail_address("old@example.com"))
    assert caught() == []


def test_powerdns_serves_a_domain_while_it_is_here(ports: Ports, name_server: PowerDns) -> None:
    assert name_server.query("second.test", "SOA").rcode() == dns.rcode.REFUSED
    domains.add(ports, act(), name="second.test", owner="alice")
    for kind, text in (("MX", "10 mail.server.test."), ("NS", "mail.server.test.")):
        [answer] = name_server.query("second.test", kind).answer
        assert (answer.rdtype, [str(record) for record in answer]) == (dns.rdatatype.from_text(kind), [text])
    assert name_server.query("absent.second.test", "A").rcode() == dns.rcode.NXDOMAIN
    domains.remove(ports, act(), name="second.test")
    assert name_server.query("second.test", "SOA").rcode() == dns.rcode.REFUSED
