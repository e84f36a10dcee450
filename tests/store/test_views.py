"""What Postfix, Dovecot and PowerDNS read: every view's rows on both engines, and that look-ups are index searches.

The views are a promise to other programs: names, columns and meaning stay while tables change underneath.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

import config
from mailsvc.app import create_app
from mailsvc.core import zone_names
from mailsvc.core.addresses import mail_address, mailbox_address
from mailsvc.mailhost import render
from mailsvc.mailhost.layout import layout
from mailsvc.services import dkim, domains, forwards, mailboxes, spf, zones
from mailsvc.services.ports import Ports
from mailsvc.store import HEAD
from mailsvc.store.types import Instant
from migrations import views
from tests.application import act, settings_for
from tests.store import catalogue

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)

PROMISED = {
    "postfix_domain": ["name"],
    "postfix_mailbox": ["address", "incarnation"],
    "postfix_alias": ["address", "target"],
    "postfix_catch_all": ["domain", "target"],
    "postfix_sender_login": ["address", "login"],
    "dovecot_user": ["address", "password", "enabled", "incarnation", "quota_bytes"],
    "dkim_signing_key": ["domain", "selector", "algorithm", "private_key"],
    "pdns_domain": ["id", "name", "type", "serial"],
    "pdns_record": ["domain_id", "name", "type", "content", "ttl", "prio", "disabled", "auth"],
}
"""What the configuration of other programs names."""


def rows(ports: Ports, query: str, **values: object) -> list[tuple[object, ...]]:
    """What a query finds, in alphabetical order."""
    with ports.store.reading() as unit:
        return sorted(map(tuple, unit.execute(sa.text(query), values)), key=repr)


def add_mailbox(ports: Ports, address: str, *, quota_mib: int = 0) -> None:
    mailboxes.add(ports, act(), address=mailbox_address(address), password="Box-1", quota_mib=quota_mib)


def forward(ports: Ports, source: str, *targets: str, keep_local: bool = False) -> None:
    wanted = [mail_address(target) for target in targets]
    forwards.add(ports, act(), source=mail_address(source), targets=wanted, keep_local=keep_local)


def aliases(ports: Ports, address: str) -> list[object]:
    found = rows(ports, "SELECT target FROM postfix_alias WHERE address = :address", address=address)
    return [target for (target,) in found]


def logins(ports: Ports, address: str) -> list[object]:
    found = rows(ports, "SELECT login FROM postfix_sender_login WHERE address = :address", address=address)
    return [login for (login,) in found]


def records(ports: Ports, domain: str) -> list[tuple[object, ...]]:
    columns = "r.name, r.type, r.content, r.ttl, r.prio, r.disabled, r.auth"
    of_domain = "FROM pdns_record r JOIN pdns_domain d ON d.id = r.domain_id WHERE d.name = :domain"
    return rows(ports, f"SELECT {columns} {of_domain}", domain=domain)


def serial(ports: Ports, domain: str) -> int:
    [(found,)] = rows(ports, "SELECT serial FROM pdns_domain WHERE name = :domain", domain=domain)
    assert isinstance(found, int)
    return found


def test_the_views_are_the_promised_ones(ports: Ports) -> None:
    with ports.store.reading() as unit:
        found = catalogue.views(unit)
    assert {name: columns for name, (_, columns) in found.items()} == PROMISED
    assert set(views.names(_last_set())) == set(PROMISED)


def _last_set() -> str:
    last = sorted(path.stem for path in views.HERE.glob("[0-9]*.sql"))[-1]
    assert last <= HEAD
    return last


def test_no_view_has_rows_where_there_is_nothing(engine: str, ports: Ports) -> None:
    for domain in ("example.com", "bob.test"):
        domains.remove(ports, act(), name=domain)
    assert [name for name in PROMISED if rows(ports, f"SELECT * FROM {name}")] == []


def test_domains_are_in_the_views_until_they_are_removed(ports: Ports) -> None:
    assert rows(ports, "SELECT name FROM postfix_domain") == [("bob.test",), ("example.com",)]
    found = rows(ports, "SELECT name, type, serial FROM pdns_domain")
    assert found == [("bob.test", "NATIVE", 1), ("example.com", "NATIVE", 1)]
    domains.remove(ports, act(), name="bob.test")
    assert rows(ports, "SELECT name FROM postfix_domain") == rows(ports, "SELECT name FROM pdns_domain")
    assert rows(ports, "SELECT name FROM postfix_domain") == [("example.com",)]


def test_a_mailbox_is_in_every_view_that_delivers_or_lets_in(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com", quota_mib=1024)
    assert rows(ports, "SELECT address FROM postfix_mailbox") == [("info@example.com",), ("old@example.com",)]
    assert aliases(ports, "info@example.com") == ["info@example.com"]
    assert logins(ports, "info@example.com") == ["info@example.com"]
    [found] = rows(ports, "SELECT * FROM dovecot_user WHERE address = 'info@example.com'")
    address, password, enabled, incarnation, quota_bytes = found
    assert (address, enabled, quota_bytes) == ("info@example.com", 1, 1024 * 1024 * 1024)
    assert str(password).startswith("{ARGON2ID}$argon2id$")
    delivered = rows(ports, "SELECT incarnation FROM postfix_mailbox WHERE address = 'info@example.com'")
    assert delivered == [(incarnation,)]


def test_a_mailbox_that_is_removed_is_in_no_view(ports: Ports) -> None:
    mailboxes.remove(ports, act(), address=mailbox_address("old@example.com"))
    for view in ("postfix_mailbox", "postfix_alias", "postfix_sender_login", "dovecot_user"):
        assert rows(ports, f"SELECT * FROM {view}") == []


def test_quotas_are_shown_in_bytes(ports: Ports) -> None:
    for quota_mib in (0, 1, 2_147_483_647):
        mailboxes.change_quota(ports, act(), address=mail_address("old@example.com"), quota_mib=quota_mib)
        assert rows(ports, "SELECT quota_bytes FROM dovecot_user") == [(quota_mib * 1024 * 1024,)]


def test_a_disabled_mailbox_receives_and_neither_logs_in_nor_sends(ports: Ports) -> None:
    old = mail_address("old@example.com")
    forward(ports, "sales@example.com", "old@example.com")
    mailboxes.disable(ports, act(), address=old)
    assert rows(ports, "SELECT address FROM postfix_mailbox") == [("old@example.com",)]
    assert aliases(ports, "old@example.com") == ["old@example.com"]
    assert rows(ports, "SELECT address, enabled FROM dovecot_user") == [("old@example.com", 0)]
    assert rows(ports, "SELECT * FROM postfix_sender_login") == []
    mailboxes.enable(ports, act(), address=old)
    assert rows(ports, "SELECT address, enabled FROM dovecot_user") == [("old@example.com", 1)]
    assert logins(ports, "old@example.com") == logins(ports, "sales@example.com") == ["old@example.com"]


@pytest.mark.parametrize("keep_local", [False, True])
@pytest.mark.parametrize("source", ["old@example.com", "sales@example.com"])
def test_a_forward_keeps_a_copy_if_asked_to_and_if_there_is_a_mailbox(
    ports: Ports, source: str, keep_local: bool
) -> None:
    forward(ports, source, "b@elsewhere.example", "a@elsewhere.example", keep_local=keep_local)
    local = [source] if keep_local and source == "old@example.com" else []
    assert aliases(ports, source) == ["a@elsewhere.example", "b@elsewhere.example", *local]


def test_the_local_copy_comes_and_goes_with_the_mailbox_and_the_rule(ports: Ports) -> None:
    forward(ports, "info@example.com", "a@elsewhere.example", keep_local=True)
    assert aliases(ports, "info@example.com") == ["a@elsewhere.example"]
    add_mailbox(ports, "info@example.com")
    assert aliases(ports, "info@example.com") == ["a@elsewhere.example", "info@example.com"]
    forward(ports, "info@example.com", "a@elsewhere.example", keep_local=False)
    assert aliases(ports, "info@example.com") == ["a@elsewhere.example"]
    forwards.remove(ports, act(), source=mail_address("info@example.com"))
    assert aliases(ports, "info@example.com") == ["info@example.com"]


def test_each_rule_of_a_chain_is_a_row_of_its_own(ports: Ports) -> None:
    forward(ports, "one@example.com", "two@example.com")
    forward(ports, "two@example.com", "three@bob.test", "old@example.com")
    assert aliases(ports, "one@example.com") == ["two@example.com"]
    assert aliases(ports, "two@example.com") == ["old@example.com", "three@bob.test"]
    assert aliases(ports, "three@bob.test") == []


def test_one_may_send_as_an_address_that_forwards_to_ones_own(ports: Ports) -> None:
    add_mailbox(ports, "info@example.com")
    forward(ports, "sales@example.com", "info@example.com", "old@example.com", "a@elsewhere.example")
    forward(ports, "old@example.com", "info@example.com")
    forward(ports, "far@example.com", "sales@example.com")
    assert logins(ports, "sales@example.com") == ["info@example.com", "old@example.com"]
    assert logins(ports, "old@example.com") == ["info@example.com", "old@example.com"]
    assert logins(ports, "info@example.com") == ["info@example.com"]
    assert logins(ports, "far@example.com") == [], "not as one that forwards to an address that forwards to one's own"


def soa(name: str, number: int, hostname: str = "mail.server.test") -> tuple[object, ...]:
    content = f"{hostname} hostmaster.{name} {number} 3600 600 604800 300"
    return (name, "SOA", content, 300, 0, 0, 1)


def whole_zone(name: str, number: int, hostname: str) -> list[tuple[object, ...]]:
    """The records of a zone that nothing was switched on in."""
    services = [
        (f"{label}.{name}", "SRV", f"{weight} {port} {hostname}", 300, priority, 0, 1)
        for label, priority, weight, port in zone_names.SERVICES
    ]
    return sorted(
        [
            (name, "MX", hostname, 300, 10, 0, 1),
            (name, "NS", hostname, 300, 0, 0, 1),
            soa(name, number, hostname),
            (f"autoconfig.{name}", "CNAME", hostname, 300, 0, 0, 1),
            (f"_tcp.{name}", None, None, None, 0, 0, 1),
            *services,
        ],
        key=repr,
    )


def beside(ports: Ports, domain: str) -> list[tuple[object, ...]]:
    """The records of a domain beside those that every zone has."""
    return [record for record in records(ports, domain) if record[1] is None or record[1] == "TXT"]


def test_a_zone_names_this_server(ports: Ports) -> None:
    assert records(ports, "bob.test") == whole_zone("bob.test", 1, "mail.server.test")


def test_spf_is_shown_while_it_is_on(ports: Ports) -> None:
    shown = ("example.com", "TXT", '"v=spf1 mx ~all"', 300, 0, 0, 1)
    spf.enable(ports, act(), domain="example.com")
    assert shown in records(ports, "example.com")
    assert len(beside(ports, "example.com")) == 3
    assert beside(ports, "bob.test") == [("_tcp.bob.test", None, None, None, 0, 0, 1)]
    spf.disable(ports, act(), domain="example.com")
    assert records(ports, "example.com") == whole_zone("example.com", 3, "mail.server.test")


def test_dkim_is_shown_while_it_is_on_with_the_empty_name_above_it(ports: Ports) -> None:
    dkim.enable(ports, act(), domain="example.com")
    found = {record[0]: record[1:] for record in beside(ports, "example.com")}
    empty = (None, None, None, 0, 0, 1)
    assert found.pop("_domainkey.example.com") == found.pop("_tcp.example.com") == empty
    assert found.pop("_dmarc.example.com")[1] == f'"{zone_names.DMARC_TEXT}"'
    [(name, (kind, content, *rest))] = found.items()
    assert (name, kind, rest) == ("mail._domainkey.example.com", "TXT", [300, 0, 0, 1])
    strings = str(content).removeprefix('"').removesuffix('"').split('" "')
    assert [len(string) <= 255 for string in strings] == [True, True]
    assert "".join(strings).startswith("v=DKIM1; k=rsa; p=MIIB")
    dkim.disable(ports, act(), domain="example.com")
    assert records(ports, "example.com") == whole_zone("example.com", 3, "mail.server.test")


@pytest.mark.parametrize("more_settings", [{"DKIM_SELECTOR": name} for name in ("mail", "2026-mail")], ids=str)
def test_every_empty_name_above_a_key_is_known(ports: Ports) -> None:
    """A name server that does not know of one denies that anything is below it (RFC 8020)."""
    dkim.enable(ports, act(), domain="example.com")
    labels = [*ports.settings.dkim_selector.split("."), "_domainkey"]
    above = [".".join([*labels[start:], "example.com"]) for start in range(1, len(labels))]
    above += ["_tcp.example.com", "_tcp.bob.test"]
    assert rows(ports, "SELECT name FROM pdns_record WHERE type IS NULL") == sorted((name,) for name in above)


def test_a_dmarc_policy_is_shown_while_spf_or_dkim_is_on(ports: Ports) -> None:
    shown = ("_dmarc.example.com", "TXT", f'"{zone_names.DMARC_TEXT}"', 300, 0, 0, 1)
    assert shown not in records(ports, "example.com")
    for switch, on in ((spf.enable, True), (dkim.enable, True), (spf.disable, True), (dkim.disable, False)):
        switch(ports, act(), domain="example.com")
        assert (shown in records(ports, "example.com")) is on
        assert not any(record[0] == "_dmarc.bob.test" for record in records(ports, "bob.test"))


def signing(ports: Ports, domain: str = "example.com") -> list[object]:
    """The selectors of the keys of ``domain`` that sign now."""
    found = rows(ports, "SELECT selector FROM dkim_signing_key WHERE domain = :domain", domain=domain)
    return [selector for (selector,) in found]


def test_a_key_signs_while_its_record_is_published_and_known_to_be(ports: Ports) -> None:
    assert signing(ports) == []
    dkim.enable(ports, act(), domain="example.com")
    assert signing(ports) == ["mail"] and signing(ports, "bob.test") == []
    for unsure in ("settled = 0", "enabled = 0"):
        with ports.store.writing() as unit:
            unit.execute(sa.text(f"UPDATE dns_record SET {unsure}"))
        assert signing(ports) == []
        with ports.store.writing() as unit:
            unit.execute(sa.text("UPDATE dns_record SET settled = 1, enabled = 1"))
        assert signing(ports) == ["mail"]
    for stage in ("coming", "going"):
        with ports.store.writing() as unit:
            unit.execute(sa.text(f"INSERT INTO dkim_rotation SELECT id, '{stage}', 1 FROM dkim_key"))
        assert signing(ports) == []
        with ports.store.writing() as unit:
            unit.execute(sa.text("DELETE FROM dkim_rotation"))
    dkim.disable(ports, act(), domain="example.com")
    assert signing(ports) == []


def test_a_signing_key_is_shown_sealed(ports: Ports) -> None:
    dkim.enable(ports, act(), domain="example.com")
    [(algorithm, sealed)] = rows(ports, "SELECT algorithm, private_key FROM dkim_signing_key")
    opened = ports.seals.open(dkim.seal_purpose("example.com", "mail"), bytes(sealed))  # type: ignore[call-overload]
    assert algorithm == "rsa" and b"BEGIN PRIVATE KEY" in opened


def test_the_serial_grows_with_every_change_of_the_zone_and_only_then(ports: Ports) -> None:
    seen = [serial(ports, "example.com")]
    for change in (spf.enable, dkim.enable, spf.disable, dkim.disable, dkim.enable):
        change(ports, act(), domain="example.com")
        seen.append(serial(ports, "example.com"))
    assert seen == sorted(set(seen))
    add_mailbox(ports, "info@example.com")
    assert serial(ports, "example.com") == seen[-1]
    assert soa("example.com", seen[-1]) in records(ports, "example.com")
    assert serial(ports, "bob.test") == 1


def test_another_host_name_is_a_change_of_every_zone(settings: config.Settings, ports: Ports) -> None:
    more = {"DATABASE_URL": settings.database_url} if settings.database_url else {}
    renamed = create_app(settings_for(settings.data_dir, HOSTNAME="mx.server.test", **more)).extensions["mailsvc"]
    for _ in range(2):
        zones.describe_server(renamed)
    renamed.store.close()
    assert records(ports, "bob.test") == whole_zone("bob.test", 2, "mx.server.test")


ADDRESS = "address = 'u3@example7.test'"
NAME = "name = 'example7.test'"
LOOK_UPS = {
    "virtual_mailbox_domains": f"SELECT 1 FROM postfix_domain WHERE {NAME}",
    "virtual_mailbox_maps": f"SELECT incarnation FROM postfix_mailbox WHERE {ADDRESS}",
    "virtual_alias_maps": f"SELECT target FROM postfix_alias WHERE {ADDRESS}",
    "smtpd_sender_login_maps": f"SELECT login FROM postfix_sender_login WHERE {ADDRESS}",
    "catch_all": "SELECT target FROM postfix_catch_all WHERE domain = 'example7.test'",
    "keys": "SELECT selector, algorithm, private_key FROM dkim_signing_key WHERE domain = 'example7.test'",
    "service": "SELECT content FROM pdns_record WHERE type = 'SRV' AND name = '_imaps._tcp.example7.test'",
    "policy": "SELECT content FROM pdns_record WHERE disabled = 0 AND type = 'TXT' AND name = '_dmarc.example7.test'",
    "empty name": "SELECT name FROM pdns_record WHERE disabled = 0 AND name = '_tcp.example7.test' AND domain_id = 7",
    "passdb": f"SELECT address, password FROM dovecot_user WHERE {ADDRESS} AND enabled = 1",
    "userdb": f"SELECT incarnation, quota_bytes FROM dovecot_user WHERE {ADDRESS}",
    "zone": f"SELECT id, name, type, serial FROM pdns_domain WHERE {NAME}",
    "record": f"SELECT content FROM pdns_record WHERE disabled = 0 AND type = 'TXT' AND {NAME}",
    "record of zone": f"SELECT content FROM pdns_record WHERE type = 'SOA' AND {NAME} AND domain_id = 7",
    "any": "SELECT type, content FROM pdns_record WHERE disabled = 0 AND name = '_domainkey.example7.test'",
    "any of zone": f"SELECT type, content FROM pdns_record WHERE disabled = 0 AND {NAME} AND domain_id = 7",
    "whole zone": "SELECT name, content FROM pdns_record WHERE disabled = 0 AND domain_id = 7 ORDER BY name, type",
}
"""What the mail and DNS servers ask."""

DOMAINS = 400
BLOB = "CAST('x' AS BLOB)"
FILLED = f"""
WITH RECURSIVE n(d) AS (SELECT 1 UNION ALL SELECT d + 1 FROM n WHERE d < {DOMAINS})
  INSERT INTO domain (id, name, owner_id, zone_serial, created_at)
  SELECT d, 'example' || d || '.test', 1, 1, 0 FROM n;
WITH RECURSIVE n(u) AS (SELECT 0 UNION ALL SELECT u + 1 FROM n WHERE u < 49)
  INSERT INTO mailbox (domain_id, address, password_hash, quota_mib, enabled, incarnation, created_at)
  SELECT id, 'u' || u || '@' || name, 'x', 0, 1, hex(u), 0 FROM domain, n;
WITH RECURSIVE n(u) AS (SELECT 0 UNION ALL SELECT u + 1 FROM n WHERE u < 9)
  INSERT INTO forward (domain_id, source, keep_local, created_at)
  SELECT id, 'u' || (45 + u) || '@' || name, u % 2, 0 FROM domain, n;
INSERT INTO forward_target (forward_id, target, position)
  SELECT f.id, 'u3@' || d.name, 1 FROM forward f JOIN domain d ON d.id = f.domain_id;
INSERT INTO forward_target (forward_id, target, position)
  SELECT id, 'x' || id || '@elsewhere.example', 2 FROM forward;
INSERT INTO dns_record (domain_id, purpose, name, parent, content, ttl, enabled, settled)
  SELECT id, 'spf', name, NULL, '"v=spf1"', 300, 1, 1 FROM domain UNION ALL
  SELECT id, 'dkim', 'mail._domainkey.' || name, '_domainkey.' || name, '"v=DKIM1"', 300, 1, 1 FROM domain;
INSERT INTO dkim_key (domain_id, selector, algorithm, private_key, public_key, created_at)
  SELECT id, 'mail', 'rsa', {BLOB}, 'x', 0 FROM domain UNION ALL
  SELECT id, 'old', 'rsa', {BLOB}, 'x', 0 FROM domain;
INSERT INTO dkim_rotation (key_id, stage, due_at) SELECT id, 'going', 1 FROM dkim_key WHERE selector = 'old';
INSERT INTO catch_all (domain_id, target, target_domain) SELECT id, 'u3@' || name, name FROM domain;
WITH l(label) AS (VALUES {", ".join(f"('{label}')" for label in zone_names.LABELS)})
  INSERT INTO zone_name (name, domain_id, label) SELECT l.label || '.' || d.name, d.id, l.label FROM domain d, l;
"""
"""A server of some size."""


@pytest.fixture(params=["before ANALYZE", "after ANALYZE"])
def crowded(request: pytest.FixtureRequest, app: Flask, settings: config.Settings) -> Iterator[sqlite3.Connection]:
    """SQLite's view of a database with realistic numbers of rows, before and after it has counted them."""
    file = settings.database_file
    assert isinstance(file, Path)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM domain")
        connection.executescript(FILLED)
        if request.param == "after ANALYZE":
            connection.execute("ANALYZE")
        connection.commit()
    with closing(sqlite3.connect(file)) as connection:
        yield connection


@on_sqlite
@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_a_look_up_of_a_mail_server_is_an_index_search(crowded: sqlite3.Connection, look_up: str) -> None:
    question = LOOK_UPS[look_up]
    assert crowded.execute(question).fetchone(), "else the plan is of a question that nobody asks"
    assert full_scans(crowded, question) == []
    # PowerDNS prepares its questions before it knows the values.
    assert full_scans(crowded, re.sub(r"= ('[^']*'|[0-9]+)", "= ?", question)) == []


QUERY = r"^ *(query|password_query|user_query|gsqlite3-[a-z-]+-query) ?= ?(SELECT(?:.*\\\n)*.*)$"
NOT_ASKED_PER_MESSAGE = {"gsqlite3-get-all-domains-query"}
VALUES = {"%Lu": "u3+x@example7.test", "%Ln": "u3+x", "%Ld": "example7.test", "%s": "u3@example7.test"}
VARIABLE = r"%\{[^}]*\}"


@on_sqlite
def test_so_is_every_look_up_of_the_rendered_configuration(
    crowded: sqlite3.Connection, settings: config.Settings, tmp_path: Path
) -> None:
    texts = render.rendered(layout(settings, tmp_path), {})
    asked = [
        (file, match[1], match[2].replace("\\\n", " "))
        for file, text in texts.items()
        for match in re.finditer(QUERY, text, re.MULTILINE)
    ]
    assert len({file for file, *_ in asked}) >= 8, "Postfix's maps, both releases of Dovecot, PowerDNS"
    assert {name for _, name, _ in asked} > {"query", "password_query", "user_query", *NOT_ASKED_PER_MESSAGE}
    for file, name, query in asked:
        question = re.sub("|".join(VALUES), lambda match: VALUES[match[0]], query)
        question = re.sub(" :[a-z_]+", " ?", re.sub(VARIABLE, "u3+x@example7.test", question))
        assert name in NOT_ASKED_PER_MESSAGE or full_scans(crowded, question) == [], (file, name)


@on_sqlite
def test_what_is_no_index_search_is_seen(crowded: sqlite3.Connection) -> None:
    assert full_scans(crowded, "SELECT 1 FROM postfix_mailbox WHERE incarnation = 'ab'") == ["SCAN mailbox"]
    assert "SCAN dns_record" in full_scans(crowded, "SELECT 1 FROM pdns_record WHERE content = 'v=spf1'")
    joined = "SELECT 1 FROM mailbox a JOIN mailbox b ON b.incarnation = a.incarnation WHERE a.id = 3"
    assert full_scans(crowded, joined) != []


def full_scans(connection: sqlite3.Connection, question: str) -> list[str]:
    """The steps of SQLite's plan that read a whole table or index, or build an index for the occasion.

    Not counted are ``s``, the table of one row, and the rows that another step of the plan has found.
    """
    unbound = [None] * question.count("?")
    steps = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {question}", unbound)]
    harmless = {f"SCAN {step.split()[1]}" for step in steps if step.startswith(("CO-ROUTINE", "MATERIALIZE"))}
    harmless |= {"SCAN s", "SCAN CONSTANT ROW"}
    scans = [step for step in steps if step.startswith("SCAN") and step not in harmless]
    return scans + [step for step in steps if "AUTOMATIC" in step]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_postgresql_searches_its_indexes_too(ports: Ports) -> None:
    with ports.store.writing() as unit:
        unit.exec_driver_sql("DELETE FROM domain")
        filled = FILLED.replace("hex(u)", "to_hex(u)").replace(BLOB, "CAST('x' AS BYTEA)").replace("%", "%%")
        for statement in filled.split(";"):
            if statement.strip():
                unit.exec_driver_sql(statement)
        unit.exec_driver_sql("ANALYZE")
    for question, query in LOOK_UPS.items():
        with ports.store.reading() as unit:
            assert unit.exec_driver_sql(query).first(), question
            plan = [str(line) for (line,) in unit.exec_driver_sql(f"EXPLAIN {query}")]
        scans = [line for line in plan if "Seq Scan" in line and " on server " not in line]
        assert scans == [], question


def test_times_are_whole_milliseconds(ports: Ports) -> None:
    """What other programs find in the tables behind the views, should they look."""
    column = sa.column("created_at", Instant())
    with ports.store.reading() as unit:
        found = unit.scalar(sa.select(column).select_from(sa.table("domain")).limit(1))
        raw = unit.exec_driver_sql("SELECT created_at FROM domain LIMIT 1").scalar()
    assert found is not None
    assert isinstance(raw, int)
    assert round(found.timestamp() * 1000) == raw
