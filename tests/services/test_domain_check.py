"""Whether DNS says what it should: against a real name server that says all kinds of things."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from config import TcpAddress
from mailsvc.core.refusals import UnknownDomain
from mailsvc.dns import publisher
from mailsvc.services import dkim, domain_check, domains
from mailsvc.services.domain_check import MISSING, OFF, OK, UNANSWERED, WRONG, Finding
from mailsvc.services.ports import Ports
from tests.application import act
from tests.servers import free_port
from tests.servers.knot import NameServer, knot
from tests.services.callers import act_of

pytestmark = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

HOST = "mail.server.test"


def zone(name: str, lines: str) -> str:
    """The text of a zone file, with ``lines`` relative to ``name``."""
    head = (
        f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.server.test. host.server.test. 1 3600 600 604800 60\n@ NS ns.server.test."
    )
    return f"{head}\n{lines}\n"


GOOD = f'@ MX 10 {HOST}.\n@ TXT "v=spf1 mx ~all"\n@ TXT "another text"\n_dmarc TXT "v=DMARC1; p=none"'

TEXTS = {
    "good.test": GOOD,
    "sub.good.test": f'@ MX 10 {HOST}.\n@ MX 20 backup.server.test.\n@ TXT "v=spf1 ip4:127.0.0.0/8 " "-all"',
    "bare.test": "",
    "wrong.test": (
        f"@ MX 5 backup.server.test.\n@ MX 10 {HOST}.\n"
        '@ TXT "v=spf1 mx -all"\n@ TXT "v=spf1 -all"\n'
        '_dmarc TXT "v=DMARC1; p=none"\n_dmarc TXT "v=DMARC1; p=reject"'
    ),
    "null.test": '@ MX 0 .\n@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=sometimes"',
    "included.test": GOOD.replace("mx ~all", "include:_spf.good.test ?all"),
    "redirected.test": GOOD.replace("mx ~all", "redirect=good.test"),
    "ten.test": GOOD.replace("mx ~all", "include:_five.many.test include:_three.many.test mx -all"),
    "eleven.test": GOOD.replace("mx ~all", "include:_five.many.test include:_three.many.test a mx -all"),
    "endless.test": GOOD.replace("mx ~all", "mx include:endless.test -all"),
    "broken.test": GOOD.replace("mx ~all", "mx ip4:127.0.0.1/33 -all"),
    "nothing.test": GOOD.replace("mx ~all", "include:bare.test mx -all"),
    "two.test": GOOD.replace("mx ~all", "a:absent.server.test mx:bare.test mx ~all"),
    "three.test": GOOD.replace("mx ~all", "include:two.test a:bare.test mx ~all"),
    "denied.test": GOOD.replace("mx ~all", "-ip4:127.0.0.1 a:mail.server.test/8 -all"),
    "many.test": (
        '_five TXT "v=spf1 a:backup.server.test mx:bare.test exists:%{i}.many.test ptr a:backup.server.test -all"\n'
        '_three TXT "v=spf1 a:backup.server.test//64 a:backup.server.test/32 ip6:2001:db8::/32 -all"'
    ),
    "server.test": (
        "mail A 127.0.0.1\nbackup A 127.0.0.8\nquiet A 127.0.0.2\nother A 127.0.0.3\nalias A 127.0.0.3\n"
        "liar A 127.0.0.4\nmany A 127.0.0.1\nmany AAAA ::1"
    ),
    "127.in-addr.arpa": (
        f"1.0.0 PTR {HOST}.\n1.0.0 PTR many.server.test.\n3.0.0 PTR alias.server.test.\n4.0.0 PTR backup.server.test."
    ),
    "ip6.arpa": "1." + "0." * 30 + "0 PTR many.server.test.",
}
TEXTS["good.test"] += '\n_spf TXT "v=spf1 a:mail.server.test -all"'


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    with knot({name: zone(name, lines) for name, lines in TEXTS.items()}) as server:
        yield server


@pytest.fixture
def ports(ports: Ports, name_server: NameServer) -> Ports:
    """The ports, publishing to the name server by dynamic updates, and asking it what others see."""
    address = TcpAddress(name_server.host, name_server.port)
    settings = replace(
        ports.settings,
        resolver=address,
        dns="rfc2136",
        rfc2136_server=address,
        rfc2136_key_name=name_server.key_name,
        rfc2136_key_secret=name_server.key_secret,
    )
    return replace(ports, settings=settings, dns=publisher(settings))


def checked(ports: Ports, domain: str) -> dict[str, Finding]:
    """The findings by purpose, of a domain that is added for it."""
    domains.add(ports, act(), name=domain, owner="alice")
    found = domain_check.check(ports, act_of(ports, "alice").acting, domain=domain)
    return {finding.purpose: finding for finding in found}


def verdicts(ports: Ports, domain: str) -> dict[str, str]:
    return {purpose: finding.verdict for purpose, finding in checked(ports, domain).items()}


def test_a_domain_as_it_should_be(ports: Ports) -> None:
    found = checked(ports, "good.test")
    assert {purpose: one.verdict for purpose, one in found.items()} == {
        "MX": OK,
        "PTR": OK,
        "SPF": OK,
        "DKIM": OFF,
        "DMARC": OK,
    }
    assert found["SPF"] == Finding("SPF", "good.test", "TXT", "v=spf1 mx ~all", ["v=spf1 mx ~all"], OK)
    assert (found["MX"].wanted, found["MX"].found) == ("10 mail.server.test.", ["10 mail.server.test."])
    assert (found["PTR"].name, found["PTR"].wanted) == ("127.0.0.1", f"{HOST}.")
    assert all(one.is_fine and not one.reason for one in found.values() if one.verdict == OK)


def test_a_domain_below_another_and_with_a_second_server(ports: Ports) -> None:
    found = checked(ports, "sub.good.test")
    assert {one.verdict for one in found.values()} == {OK, OFF}
    assert found["MX"].found == ["10 mail.server.test.", "20 backup.server.test."]
    assert found["SPF"].found == ["v=spf1 ip4:127.0.0.0/8 -all"]
    assert found["DMARC"].found == ["v=DMARC1; p=none"], "that of the domain above"


def test_what_is_missing_is_named_with_what_to_publish(ports: Ports) -> None:
    found = checked(ports, "bare.test")
    assert [found[purpose].verdict for purpose in ("MX", "SPF", "DMARC")] == [MISSING] * 3
    assert found["MX"].publish == "bare.test. 300 IN MX 10 mail.server.test."
    assert found["SPF"].publish == 'bare.test. 300 IN TXT "v=spf1 mx ~all"'
    assert found["DMARC"].publish == '_dmarc.bare.test. 300 IN TXT "v=DMARC1; p=none"'
    assert not any(found[purpose].is_fine or found[purpose].found for purpose in ("MX", "SPF", "DMARC"))


def test_what_is_wrong_is_said_why(ports: Ports) -> None:
    found = checked(ports, "wrong.test")
    assert found["MX"].reason == "mail goes to backup.server.test first"
    assert found["SPF"].reason == "there are 2 SPF records, and receivers accept one"
    assert found["DMARC"].reason == "there is more than one DMARC record, and receivers heed none"
    found |= checked(ports, "null.test")
    assert found["MX"].reason == "mail goes to nobody first"
    assert found["SPF"].reason == "it does not let 127.0.0.1 send, which is this server"
    assert found["DMARC"].reason == "its p= is not none, quarantine or reject"
    assert {found[purpose].verdict for purpose in ("MX", "SPF", "DMARC")} == {WRONG}


@pytest.mark.parametrize("domain", ["included.test", "redirected.test", "ten.test", "two.test"])
def test_an_spf_record_that_leads_to_us_by_other_records_is_right(ports: Ports, domain: str) -> None:
    assert set(verdicts(ports, domain).values()) == {OK, OFF}


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("eleven.test", "it takes 11 look-ups, and receivers stop at 10"),
        ("endless.test", "look-ups, and receivers stop at 10"),
        ("three.test", "3 of its look-ups find nothing, and receivers stop at 2"),
        ("broken.test", "broken.test: no receiver understands 'ip4:127.0.0.1/33'"),
        ("nothing.test", "include leads to bare.test, which has no SPF record"),
        ("denied.test", "it does not let 127.0.0.1 send"),
    ],
)
def test_an_spf_record_that_receivers_fail_on_is_wrong(ports: Ports, domain: str, reason: str) -> None:
    found = checked(ports, domain)["SPF"]
    assert found.verdict == WRONG and reason in found.reason
    assert found.publish == f'{domain}. 300 IN TXT "v=spf1 mx ~all"'


def test_a_published_key_is_compared_with_ours(ports: Ports) -> None:
    domains.add(ports, act(), name="good.test", owner="alice")

    def key() -> Finding:
        found = domain_check.check(ports, act().acting, domain="good.test")
        [finding] = [one for one in found if one.purpose == "DKIM"]
        return finding

    dkim.enable(ports, act(), domain="good.test")
    assert (key().verdict, key().name) == (OK, "mail._domainkey.good.test")
    assert key().found == [key().wanted]
    with ports.store.writing() as unit:
        unit.execute(sa.text("UPDATE dns_record SET content = '\"v=DKIM1; k=rsa; p=MIIB\"'"))
    assert (key().verdict, key().reason) == (WRONG, "it shows another key than the one that signs")
    with ports.store.writing() as unit:
        unit.execute(sa.text("UPDATE dns_record SET name = 'other._domainkey.good.test'"))
    assert key().verdict == MISSING
    assert key().publish == 'other._domainkey.good.test. 300 IN TXT "v=DKIM1; k=rsa; p=MIIB"'


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("mail.server.test", [("PTR", "127.0.0.1", OK, "")]),
        ("many.server.test", [("PTR", "127.0.0.1", OK, ""), ("PTR", "::1", OK, "")]),
        ("other.server.test", [("PTR", "127.0.0.3", OK, "")]),
        ("quiet.server.test", [("PTR", "127.0.0.2", MISSING, "the address has no name")]),
        ("liar.server.test", [("PTR", "127.0.0.4", WRONG, "no name leads back to the address")]),
        ("absent.server.test", [("address", "absent.server.test", MISSING, "this server's name leads nowhere")]),
    ],
)
def test_the_addresses_of_this_server_and_their_names(
    ports: Ports, host: str, expected: list[tuple[str, str, str, str]]
) -> None:
    named = replace(ports, settings=replace(ports.settings, hostname=host))
    found = domain_check.check(named, act().acting, domain="example.com")
    shown = [(one.purpose, one.name, one.verdict, one.reason) for one in found if one.purpose in ("PTR", "address")]
    assert shown == expected


def test_no_answer_is_no_verdict(ports: Ports) -> None:
    """The name server knows nothing of example.com; nobody listens at the other address."""
    for resolver in (ports.settings.resolver, TcpAddress("127.0.0.1", free_port())):
        deaf = replace(ports, settings=replace(ports.settings, resolver=resolver))
        found = {one.purpose: one for one in domain_check.check(deaf, act().acting, domain="example.com")}
        assert {found[purpose].verdict for purpose in ("MX", "SPF", "DMARC")} == {UNANSWERED}
        assert not found["SPF"].is_fine and found["SPF"].reason


def test_a_domain_out_of_scope_is_unknown(ports: Ports) -> None:
    with pytest.raises(UnknownDomain):
        domain_check.check(ports, act_of(ports, "bob").acting, domain="example.com")
