"""Dynamic updates against real name servers: Knot and BIND."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed
from mailsvc.dns.rfc2136 import DynamicUpdates
from tests.servers import free_port
from tests.servers.bind import bind
from tests.servers.knot import KEY_NAME, KEY_SECRET, NameServer, knot

ZONES = [f"z{number:02}.example" for number in range(40)]
"""One for each test, so that none sees what another one left."""

ZONE = """$ORIGIN {name}.
$TTL 3600
@         SOA   ns1 hostmaster 1 3600 600 86400 60
@         NS    ns1
ns1       A     127.0.0.1
alias     CNAME elsewhere.test.
*.parked  TXT   "v=spf1 -all"
*.web     CNAME elsewhere.test.
given     NS    ns.elsewhere.test.
moved     DNAME elsewhere.test.
"""

INNER = "inner.z00.example"
"""A zone below another one of the same server, and an alias in it that points out of it."""

SPF = "v=spf1 mx ~all"
DKIM = "v=DKIM1; k=rsa; p=" + "MIICIjANBgkqhkiG9w0BAQEFAAOCAg8A" * 22
OTHER_SECRET = "d3Jvbmd3cm9uZ3dyb25nd3Jvbmd3cm9uZ3dyb25nd3I="


@pytest.fixture(scope="module", params=[knot, bind], ids=["knot", "bind"])
def server(request: pytest.FixtureRequest) -> Iterator[NameServer]:
    zones = {name: ZONE.format(name=name) for name in ZONES}
    zones[INNER] = ZONE.format(name=INNER) + "back CNAME nowhere.z00.example.\n"
    with request.param(zones) as running:
        yield running


@pytest.fixture(scope="module")
def unused(server: NameServer) -> Iterator[str]:
    return iter(ZONES)


@pytest.fixture
def domain(unused: Iterator[str]) -> str:
    return next(unused)


@pytest.fixture
def updates(server: NameServer) -> DynamicUpdates:
    return updates_to(server)


def updates_to(server: NameServer, changed: Mapping[str, str] | None = None, time_limit: float = 5.0) -> DynamicUpdates:
    given = {
        "DNS": "rfc2136",
        "RFC2136_SERVER": f"{server.host}:{server.port}",
        "RFC2136_KEY_NAME": server.key_name,
        "RFC2136_KEY_SECRET": server.key_secret,
    }
    settings = config.load({config.PREFIX + name: text for name, text in {**given, **(changed or {})}.items()})
    return DynamicUpdates(settings, time_limit)


def at_port(port: int) -> NameServer:
    return NameServer("127.0.0.1", port)


def ttl(server: NameServer, name: str) -> int:
    return server.query(name, "TXT").answer[0].ttl


def put(server: NameServer, zone: str, name: str, *strings: str, ttl: int = 3600) -> None:
    """Add a TXT record that is not ours."""
    update = dns.update.UpdateMessage(zone, keyring=dns.tsig.Key(server.key_name, server.key_secret, "hmac-sha256"))
    update.add(f"{name}.", ttl, "TXT", " ".join(f'"{string}"' for string in strings))
    reply = dns.query.tcp(update, server.host, 5, server.port)
    assert reply.rcode() == dns.rcode.NOERROR


def spf(domain: str, value: str = SPF) -> TxtRecord:
    return TxtRecord(domain, domain, value)


def dkim(domain: str, value: str = DKIM) -> TxtRecord:
    return TxtRecord(domain, f"mail._domainkey.{domain}", value)


def refusal(change: Callable[[TxtRecord], None], record: TxtRecord) -> str:
    """The reason with which ``change`` is refused."""
    with pytest.raises(PublishFailed) as refused:
        change(record)
    assert refused.value.facts["name"] == record.name
    return str(refused.value.facts["reason"])


def test_a_published_record_is_served_until_it_is_withdrawn(
    server: NameServer, updates: DynamicUpdates, domain: str
) -> None:
    for record in (spf(domain), dkim(domain)):
        updates.publish(record)
        assert server.txt(record.name) == [record.value]
        assert ttl(server, record.name) == record.ttl
        updates.withdraw(record)
        assert server.txt(record.name) == []


def test_both_changes_may_be_repeated(server: NameServer, updates: DynamicUpdates, domain: str) -> None:
    for record in (spf(domain), dkim(domain)):
        updates.publish(record)
        updates.publish(record)
        assert server.txt(record.name) == [record.value]
        updates.withdraw(record)
        updates.withdraw(record)
        assert server.txt(record.name) == []


def test_a_long_key_is_served_in_strings_that_join_to_the_whole(
    server: NameServer, updates: DynamicUpdates, domain: str
) -> None:
    record = dkim(domain)
    updates.publish(record)
    [rdata] = server.query(record.name, "TXT").answer[0]
    assert [len(string) for string in rdata.strings] == [255, 255, len(DKIM) - 510]
    assert server.txt(record.name) == [DKIM]


def test_foreign_records_stay_as_they_are(server: NameServer, updates: DynamicUpdates, domain: str) -> None:
    foreign = ["MS=ms12345678", "v=spf10 is no SPF", "v=spf1-neither"]
    for text in foreign:
        put(server, domain, domain, text, ttl=7200)
    updates.publish(spf(domain))
    assert server.txt(domain) == sorted([*foreign, SPF])
    assert ttl(server, domain) == 7200
    updates.publish(spf(domain))
    updates.withdraw(spf(domain))
    assert server.txt(domain) == sorted(foreign)
    assert ttl(server, domain) == 7200


@pytest.mark.parametrize("foreign", ["v=spf1 a -all", "V=SPF1 a -all", "v=spf1"])
def test_a_foreign_spf_record_is_neither_removed_nor_joined(
    server: NameServer, updates: DynamicUpdates, domain: str, foreign: str
) -> None:
    put(server, domain, domain, foreign)
    assert "another SPF record" in refusal(updates.publish, spf(domain))
    assert server.txt(domain) == [foreign]
    updates.withdraw(spf(domain))
    assert server.txt(domain) == [foreign]


def test_a_foreign_spf_record_is_refused_also_beside_ours(
    server: NameServer, updates: DynamicUpdates, domain: str
) -> None:
    updates.publish(spf(domain))
    put(server, domain, domain, "v=spf1 a -all")
    assert "another SPF record" in refusal(updates.publish, spf(domain))
    updates.withdraw(spf(domain))
    assert server.txt(domain) == ["v=spf1 a -all"]


@pytest.mark.parametrize("foreign", ["v=DKIM1; k=rsa; p=AAAA", "k=rsa; p=AAAA", "something else"])
def test_nothing_foreign_may_stand_at_the_name_of_a_key(
    server: NameServer, updates: DynamicUpdates, domain: str, foreign: str
) -> None:
    record = dkim(domain)
    put(server, domain, record.name, foreign)
    assert "DKIM" in refusal(updates.publish, record)
    assert server.txt(record.name) == [foreign]


def test_a_text_cut_into_other_strings_is_the_same_record(
    server: NameServer, updates: DynamicUpdates, domain: str
) -> None:
    record = dkim(domain)
    put(server, domain, record.name, *(DKIM[start : start + 200] for start in range(0, len(DKIM), 200)))
    updates.publish(record)
    assert server.txt(record.name) == [DKIM]
    updates.withdraw(record)
    assert server.txt(record.name) == []


def test_a_domain_may_live_in_the_zone_of_its_parent(server: NameServer, updates: DynamicUpdates, domain: str) -> None:
    shop = f"shop.{domain}"
    for record in (spf(shop), dkim(shop)):
        updates.publish(record)
        assert server.txt(record.name) == [record.value]
        updates.withdraw(record)
        assert server.txt(record.name) == []


def test_what_a_wildcard_answers_is_no_foreign_record(server: NameServer, updates: DynamicUpdates, domain: str) -> None:
    record = spf(f"shop.parked.{domain}")
    assert server.txt(record.name) == ["v=spf1 -all"]
    updates.publish(record)
    updates.publish(record)
    assert server.txt(record.name) == [SPF]
    updates.withdraw(record)
    assert server.txt(record.name) == ["v=spf1 -all"]


def test_a_wildcard_alias_gives_way(server: NameServer, updates: DynamicUpdates, domain: str) -> None:
    record = dkim(f"shop.web.{domain}")
    updates.publish(record)
    updates.publish(record)
    assert server.txt(record.name) == [DKIM]
    updates.withdraw(record)
    updates.withdraw(record)
    assert server.txt(record.name) == []


@pytest.mark.parametrize(("below", "word"), [("alias", "CNAME"), ("shop.moved", "DNAME"), ("shop.given", "delegated")])
def test_where_a_record_would_not_be_seen_none_is_published(
    updates: DynamicUpdates, domain: str, below: str, word: str
) -> None:
    record = spf(f"{below}.{domain}")
    assert word in refusal(updates.publish, record)
    updates.withdraw(record)


def test_the_zone_of_an_alias_is_not_that_of_its_target(updates: DynamicUpdates) -> None:
    record = spf(f"back.{INNER}")
    assert "CNAME" in refusal(updates.publish, record)
    updates.withdraw(record)


def test_a_name_outside_every_zone_is_refused(updates: DynamicUpdates) -> None:
    reason = refusal(updates.publish, spf("unknown.test"))
    assert "REFUSED" in reason or "may not know the zone" in reason
    refusal(updates.withdraw, spf("unknown.test"))


def test_a_name_that_is_none_is_refused(updates: DynamicUpdates, domain: str) -> None:
    assert "not a valid DNS name" in refusal(updates.publish, TxtRecord(domain, f"{'x' * 64}.{domain}", SPF))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"RFC2136_KEY_SECRET": OTHER_SECRET}, "secrets of the key differ"),
        ({"RFC2136_KEY_NAME": "stranger"}, "does not know the key"),
        ({"RFC2136_KEY_ALGORITHM": "hmac-sha512"}, "the key"),
    ],
)
def test_a_wrong_key_changes_nothing(server: NameServer, domain: str, changed: dict[str, str], words: str) -> None:
    updates = updates_to(server, changed)
    for change in (updates.publish, updates.withdraw):
        reason = refusal(change, spf(domain))
        assert words in reason
        assert server.key_secret not in reason and OTHER_SECRET not in reason
    assert server.txt(domain) == []


@pytest.mark.parametrize("kind", [knot, bind], ids=["knot", "bind"])
def test_a_server_whose_policy_forbids_the_update(kind: Callable[..., AbstractContextManager[NameServer]]) -> None:
    with kind({ZONES[0]: ZONE.format(name=ZONES[0])}, updates=False) as server:
        updates = updates_to(server)
        for change in (updates.publish, updates.withdraw):
            reason = refusal(change, spf(ZONES[0]))
            assert "REFUSED" in reason or "does not allow" in reason
        assert server.txt(ZONES[0]) == []


@pytest.mark.parametrize("foreign", [[], ["MS=ms12345678"]], ids=["alone", "beside another"])
def test_of_several_writers_at_once_one_wins(server: NameServer, domain: str, foreign: list[str]) -> None:
    for text in foreign:
        put(server, domain, domain, text)

    def attempt(number: int) -> str | None:
        record = spf(domain, f"v=spf1 ip4:192.0.2.{number} -all")
        try:
            updates_to(server).publish(record)
        except PublishFailed:
            return None
        return record.value

    with ThreadPoolExecutor(8) as pool:
        won = [value for value in pool.map(attempt, range(8)) if value is not None]
    assert len(won) == 1
    assert server.txt(domain) == sorted([*foreign, *won])


def test_writers_who_do_not_clash_all_get_through(server: NameServer, domain: str) -> None:
    texts = [f"site-verification={number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: updates_to(server).publish(spf(domain, text)), texts))
    assert server.txt(domain) == texts


def test_a_host_name_leads_to_the_server(server: NameServer, domain: str) -> None:
    updates_to(server, {"RFC2136_SERVER": f"localhost:{server.port}"}).publish(spf(domain))
    assert server.txt(domain) == [SPF]


@pytest.fixture
def slow_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's resolver, where nobody listens at the first address of two.test, and slow.test takes its time."""
    real, found = socket.getaddrinfo, threading.Event()

    def resolve(host: str, *arguments: Any, **options: Any) -> list[Any]:
        if host == "two.test":
            return [*real("127.0.0.2", *arguments, **options), *real("127.0.0.1", *arguments, **options)]
        if host == "slow.test":
            found.wait(10)
        return real("127.0.0.1" if host == "slow.test" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield
    found.set()


@pytest.mark.usefixtures("slow_resolver")
def test_the_second_address_of_a_host_is_tried_too(server: NameServer, domain: str) -> None:
    updates_to(server, {"RFC2136_SERVER": f"two.test:{server.port}"}).publish(spf(domain))
    assert server.txt(domain) == [SPF]


@pytest.mark.usefixtures("slow_resolver")
def test_a_slow_resolver_is_waited_for_only_so_long() -> None:
    updates = updates_to(at_port(53), {"RFC2136_SERVER": "slow.test"}, time_limit=0.1)
    assert "in time" in refusal(updates.publish, spf(ZONES[0]))


def test_a_host_name_without_an_address() -> None:
    updates = updates_to(at_port(53), {"RFC2136_SERVER": "no..name"})
    assert "address" in refusal(updates.publish, spf(ZONES[0]))


def test_a_closed_port() -> None:
    updates = updates_to(at_port(free_port()))
    assert "cannot be reached" in refusal(updates.publish, spf(ZONES[0]))
    assert "cannot be reached" in refusal(updates.withdraw, spf(ZONES[0]))


Reply = Callable[[dns.message.Message], bytes]
"""Makes the wire form of the answer to a question."""


@contextmanager
def impostor(reply: Reply) -> Iterator[NameServer]:
    """Something that takes one connection, and answers each question on it with ``reply``; b"" hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        thread = threading.Thread(target=answer_all, args=(listening, reply))
        thread.start()
        try:
            yield at_port(listening.getsockname()[1])
        finally:
            thread.join()


def answer_all(listening: socket.socket, reply: Reply) -> None:
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as stream:
        while size := stream.read(2):
            wire = stream.read(int.from_bytes(size, "big"))
            sent = reply(dns.message.from_wire(wire, keyring=False))
            if not sent:
                return
            connection.sendall(len(sent).to_bytes(2, "big") + sent)


def unsigned(question: dns.message.Message) -> bytes:
    """Yes to everything, without a signature."""
    reply = dns.message.Message(question.id)
    reply.flags = question.flags | dns.flags.QR | dns.flags.AA
    reply.sections = [question.question, [], [], []]
    soa = f"{ZONES[0]}. 60 IN SOA ns1.test. hostmaster.test. 1 2 3 4 5"
    reply.answer = dns.message.from_text(f"id 1\n;ANSWER\n{soa}\n").answer
    return reply.to_wire()


def second_hand(question: dns.message.Message) -> bytes:
    """Well signed, but without authority: what a resolver has heard of others."""
    reply = dns.message.from_wire(unsigned(question))
    reply.flags &= ~dns.flags.AA
    reply.use_tsig(dns.tsig.Key(KEY_NAME, KEY_SECRET, "hmac-sha256"))
    reply.request_mac = question.mac or b""
    return reply.to_wire()


def wrongly_signed(question: dns.message.Message) -> bytes:
    reply = dns.message.from_wire(unsigned(question))
    reply.use_tsig(dns.tsig.Key(KEY_NAME, OTHER_SECRET, "hmac-sha256"))
    reply.request_mac = question.mac or b""
    return reply.to_wire()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (unsigned, "not signed"),
        (wrongly_signed, "signature of the name server's answer is wrong"),
        (second_hand, "not authoritative"),
        (lambda question: b"nonsense", "malformed"),
        (lambda question: b"", "closed the connection"),
    ],
    ids=["unsigned", "wrongly signed", "second hand", "nonsense", "hangs up"],
)
def test_an_answer_that_proves_nothing_counts_as_none(reply: Reply, words: str) -> None:
    with impostor(reply) as server:
        assert words in refusal(updates_to(server).publish, spf(ZONES[0]))
    with impostor(reply) as server:
        assert words in refusal(updates_to(server).withdraw, spf(ZONES[0]))


def test_a_silent_server_is_waited_for_only_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        updates = updates_to(at_port(silent.getsockname()[1]), time_limit=0.2)
        assert "in time" in refusal(updates.publish, spf(ZONES[0]))
        assert "in time" in refusal(updates.withdraw, spf(ZONES[0]))


def test_a_missing_setting_stops_the_start() -> None:
    with pytest.raises(config.ConfigError, match="key"):
        DynamicUpdates(config.load({}))
