"""The private servers themselves, against hand-made views of the shape that the store promises."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import argon2
import dns.rcode
import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests import servers
from tests.servers.dovecot import DovecotAuth, dovecot_auth
from tests.servers.postfix import postmap_lookup
from tests.servers.postgres import Postgres, postgres
from tests.servers.powerdns import PowerDns, powerdns

_ROOT = Path(__file__).resolve().parents[2]

_ALIASES = "SELECT target FROM postfix_alias WHERE address = '%s'"

_LONG = "v=DKIM1; k=rsa; p=" + "A" * 390
"""A record that needs two strings."""

_SCHEMA = """
CREATE TABLE domain (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE record (name TEXT NOT NULL, content TEXT NOT NULL) STRICT;
CREATE TABLE mailbox (address TEXT NOT NULL UNIQUE, password TEXT NOT NULL, enabled INTEGER NOT NULL) STRICT;
CREATE TABLE forward (source TEXT NOT NULL, target TEXT NOT NULL) STRICT;
CREATE VIEW pdns_domain AS SELECT id, name, 'NATIVE' AS type, 1 AS serial FROM domain;
CREATE VIEW pdns_record AS
  SELECT id AS domain_id, name, 'SOA' AS type, 'ns.test host.test 1 3600 600 604800 60' AS content,
    300 AS ttl, 0 AS prio, 0 AS disabled, 1 AS auth FROM domain
  UNION ALL SELECT 1, name, 'TXT', content, 300, 0, 0, 1 FROM record;
CREATE VIEW dovecot_user AS SELECT address, password, enabled FROM mailbox;
CREATE VIEW postfix_alias AS SELECT source AS address, target FROM forward;
INSERT INTO domain (name) VALUES ('example.test');
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A SQLite file in WAL mode, as the service keeps it."""
    path = tmp_path / "mail.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """One PostgreSQL for all tests here."""
    with postgres() as server:
        yield server


def _write(database: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


def _scalars(server: Postgres, name: str, query: str) -> list[object]:
    engine = create_engine(server.url(name))
    with engine.connect() as connection:
        found = list(connection.execute(text(query)).scalars())
    engine.dispose()
    return found


def test_a_port_that_was_given_is_given_to_nobody_else() -> None:
    ports = [servers.free_port() for _ in range(servers.RESERVED)]
    assert len(set(ports)) == len(ports)
    program = "import sys; from tests import servers; print([servers._reserve(int(port)) for port in sys.argv[1:]])"
    other = subprocess.run(
        [sys.executable, "-c", program, str(ports[0]), str(ports[-1])],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout == "[False, False]\n"


def test_postgres_serves_new_databases_and_copies(cluster: Postgres) -> None:
    cluster.create("first")
    engine = create_engine(cluster.url("first"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE word AS SELECT unnest(ARRAY['b', 'B', 'a-c', 'ab']) AS spelling"))
    engine.dispose()
    cluster.create("second", template="first")

    assert _scalars(cluster, "second", "SELECT spelling FROM word ORDER BY 1") == ["B", "a-c", "ab", "b"]
    cluster.drop("second")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(cluster.url("second").replace("+psycopg", ""))


def test_postgres_orders_as_a_language_does_when_asked(cluster: Postgres) -> None:
    cluster.create("ordered", icu_locale="en-US")

    words = "SELECT spelling FROM unnest(ARRAY['b', 'B', 'a-c', 'ab']) AS spelling ORDER BY 1"
    assert _scalars(cluster, "ordered", words) != ["B", "a-c", "ab", "b"]


def test_powerdns_answers_what_was_committed_a_moment_ago(database: Path) -> None:
    with powerdns(database) as server:
        assert server.txt("example.test") == []
        _write(database, "INSERT INTO record VALUES ('example.test', '\"v=spf1 mx -all\"')")
        assert server.txt("example.test") == ["v=spf1 mx -all"]
        _write(database, "DELETE FROM record")
        assert server.txt("example.test") == []


def test_powerdns_joins_the_strings_of_a_long_record(database: Path) -> None:
    content = f'"{_LONG[:200]}" "{_LONG[200:]}"'
    _write(database, "INSERT INTO record VALUES ('mail._domainkey.example.test', ?)", content)
    with powerdns(database) as server:
        assert server.txt("mail._domainkey.example.test") == [_LONG]


def test_powerdns_takes_up_and_drops_whole_zones(database: Path) -> None:
    def outcome(server: PowerDns, name: str) -> dns.rcode.Rcode:
        return server.query(name, "SOA").rcode()

    with powerdns(database) as server:
        assert outcome(server, "other.test") == dns.rcode.REFUSED
        _write(database, "INSERT INTO domain (name) VALUES ('other.test')")
        assert outcome(server, "other.test") == dns.rcode.NOERROR
        assert outcome(server, "nothing.other.test") == dns.rcode.NXDOMAIN
        _write(database, "DELETE FROM domain WHERE name = 'other.test'")
        assert outcome(server, "other.test") == dns.rcode.REFUSED


def test_powerdns_on_a_file_without_the_views_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), powerdns(tmp_path / "absent.sqlite3"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def auth(database: Path) -> Iterator[DovecotAuth]:
    with dovecot_auth(database) as server:
        yield server


def test_dovecot_verifies_an_argon2id_hash(database: Path, auth: DovecotAuth) -> None:
    stored = "{ARGON2ID}" + argon2.PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1).hash("correct horse")
    _write(database, "INSERT INTO mailbox VALUES ('ann@example.test', ?, 1)", stored)

    assert auth.login("ann@example.test", "correct horse")
    assert auth.login("Ann@Example.TEST", "correct horse")
    assert not auth.login("ann@example.test", "battery staple")
    assert not auth.login("ben@example.test", "correct horse")
    assert auth.login("ann@example.test", "correct horse"), "one failure must not delay or refuse the next login"
    _write(database, "UPDATE mailbox SET enabled = 0")
    assert not auth.login("ann@example.test", "correct horse")


def test_dovecot_that_cannot_tell_is_an_error(database: Path, auth: DovecotAuth) -> None:
    _write(database, "DROP VIEW dovecot_user")
    with pytest.raises(RuntimeError, match="dovecot_user"):
        auth.login("ann@example.test", "correct horse")


def test_postmap_finds_every_target_and_tells_nothing_from_failure(database: Path) -> None:
    for target in ("one@example.test", "two@example.test"):
        _write(database, "INSERT INTO forward VALUES ('all@example.test', ?)", target)
    _write(database, "INSERT INTO forward VALUES ('o''brien@example.test', 'ben@example.test')")

    assert postmap_lookup(database, _ALIASES, "all@example.test") == ["one@example.test", "two@example.test"]
    assert postmap_lookup(database, _ALIASES, "o'brien@example.test") == ["ben@example.test"]
    assert postmap_lookup(database, _ALIASES, "x' OR '1'='1") == []
    with pytest.raises(RuntimeError, match="no such table"):
        postmap_lookup(database, "SELECT target FROM absent WHERE address = '%s'", "all@example.test")


def test_a_program_that_is_absent_is_skipped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "missing", named := set[str]())
    monkeypatch.delenv("MAILSVC_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        servers.require("no-such-program", "its-package")
    assert named == {"its-package"}


def test_a_program_that_is_absent_is_a_failure_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "missing", named := set[str]())
    monkeypatch.setenv("MAILSVC_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        servers.require("no-such-program", "its-package")
    assert named == set()


_HOLDS_SERVERS = """
import sys
from pathlib import Path
from tests.servers.dovecot import dovecot_auth
from tests.servers.postgres import postgres
from tests.servers.powerdns import powerdns
with postgres(), powerdns(Path(sys.argv[1])), dovecot_auth(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a server outlives tests that are killed")
def test_no_server_outlives_tests_that_are_killed(database: Path) -> None:
    with postgres(), powerdns(database), dovecot_auth(database):
        pass  # skips where one of them is absent
    command = [sys.executable, "-c", _HOLDS_SERVERS, str(database)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "ready\n"
        begun = _descendants(holder.pid)
        directories = {Path(f"/proc/{pid}/cwd").readlink() for pid in _children(holder.pid)}
        holder.kill()

    assert len(begun) > len(directories) == 3
    expires = time.monotonic() + 10
    while any(map(_lives, begun)) and time.monotonic() < expires:
        time.sleep(0.01)
    assert [pid for pid in begun if _lives(pid)] == []
    for directory in directories:
        shutil.rmtree(next(path for path in (directory, *directory.parents) if path.parent == Path("/tmp")))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_descendants(child))]


def _lives(pid: int) -> bool:
    """Whether the process is there and not only waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
