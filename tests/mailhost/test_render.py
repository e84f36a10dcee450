"""The rendered files as files: whole, safe, commented, compared and replaced without a gap."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from mailsvc.mailhost.layout import PLACES, CannotRender, Layout
from mailsvc.mailhost.render import RECORD, differences, recorded, rendered, write
from tests.servers import require, require_file
from tests.servers.places import layout_for

MAPS = ("domains", "mailboxes", "aliases", "catch-all", "senders", "own-domains")

FILES = {
    *(f"postfix/{name}.cf" for name in ("main", "master", *MAPS)),
    *(f"dovecot-2.3/{name}" for name in ("dovecot.conf", "sql.conf.ext", "last-login.conf.ext")),
    "dovecot-2.4/dovecot.conf",
    "powerdns/mailsvc.conf",
    "last-login.sql",
    RECORD,
}


def layout(directory: Path | str = "/etc/rendered", **places: str) -> Layout:
    """Debian's places, but for ``places``."""
    return layout_for(Path("/var/lib/mailsvc/db"), directory, **places)


def test_every_file_is_there_filled_in_and_explained() -> None:
    texts = rendered(layout(), {})
    assert texts.keys() == FILES
    for name in FILES - {RECORD}:
        text = texts[name]
        assert text.startswith(("# ", "-- ")) and text.endswith("\n") and not text.endswith("\n\n"), name
        assert re.findall(r"\{\{|\}\}|\{%|%\}|\{#", text) == [], name


def test_what_is_debians_is_the_default_and_the_certificate_goes_by_the_host_name() -> None:
    texts = rendered(layout(), {})
    assert "smtpd_tls_cert_file = /etc/letsencrypt/live/mail.server.test/fullchain.pem\n" in texts["postfix/main.cf"]
    assert "smtpd_tls_key_file = /etc/letsencrypt/live/mail.server.test/privkey.pem\n" in texts["postfix/main.cf"]
    assert "unix_listener /var/spool/postfix/private/auth {" in texts["dovecot-2.3/dovecot.conf"]
    assert "\nsubmission inet n " in texts["postfix/master.cf"]
    own = rendered(layout(certificate="/tls/chain.pem"), {})["dovecot-2.4/dovecot.conf"]
    assert "ssl_server_cert_file = /tls/chain.pem\nssl_server_key_file = /tls/privkey.pem\n" in own


def test_every_place_is_somewhere_in_the_files() -> None:
    """An option that changes nothing would be a promise without effect."""
    before = rendered(layout(), {})
    for name in PLACES:
        value = "127.0.0.9:99" if ":" in getattr(layout(), name) else f"/x/{name}"
        assert rendered(layout(**{name: value}), {}) != before, name


def test_each_map_is_asked_through_proxymap_and_by_whole_keys() -> None:
    texts = rendered(layout(), {})
    assert re.findall(r"(\S*)sqlite:\S*/([a-z-]+)\.cf", texts["postfix/main.cf"]) == [("proxy:", name) for name in MAPS]
    for name in MAPS:
        key = "'%d'" if name == "own-domains" else "'%s'"
        assert "%u" not in texts[f"postfix/{name}.cf"] and key in texts[f"postfix/{name}.cf"]


def test_a_stopped_milter_means_later_and_no_milter_means_none() -> None:
    text = rendered(layout(milter="127.0.0.1:99"), {})["postfix/main.cf"]
    assert "\nsmtpd_milters = inet:127.0.0.1:99\nmilter_default_action = tempfail\n" in text
    assert "\nsmtpd_milters =\n" in rendered(layout(milter=""), {})["postfix/main.cf"]


def test_the_milter_and_its_question_may_go_over_sockets_in_the_file_system() -> None:
    texts = rendered(layout(milter="unix:/var/spool/postfix/mailsvc/filter", quota_status="unix:/run/quota"), {})
    assert "\nsmtpd_milters = unix:mailsvc/filter\n" in texts["postfix/main.cf"], "smtpd is confined to the queue"
    for release in ("2.3", "2.4"):
        assert "\n  unix_listener /run/quota {\n    mode = 0666\n" in texts[f"dovecot-{release}/dovecot.conf"]
    with pytest.raises(CannotRender, match=r"^milter: .* /run/filter$"):
        layout(milter="unix:/run/filter")


def test_the_question_of_the_milter_may_be_off_or_go_to_an_address_of_ipv6() -> None:
    for release, word in (("2.3", "address"), ("2.4", "listen")):
        name = f"dovecot-{release}/dovecot.conf"
        assert f"{word} = ::1\n    port = 99\n" in rendered(layout(quota_status="[::1]:99"), {})[name]
        assert "inet_listener" not in rendered(layout(quota_status=""), {})[name].partition("protocol lmtp")[0]


@pytest.mark.parametrize(
    "hostile", ["", " ", "a b", "a\nb", "a'b", 'a"b', "a#b", "a$b", "a%b", "a{b", "a\\b", "a;b", "ä"]
)
def test_what_would_not_survive_in_a_configuration_file_is_refused(hostile: str) -> None:
    with pytest.raises(CannotRender, match=r"^queue: "):
        layout(queue=hostile)
    with pytest.raises(CannotRender, match=r"^directory: "):
        layout(directory=f"/{hostile or ' '}")


def test_a_tree_is_equal_to_itself_and_each_change_is_named(tmp_path: Path) -> None:
    tree = tmp_path / "deep" / "tree"
    texts = rendered(layout(tree), {})
    assert {str(path.relative_to(tree)) for path in write(tree, texts)} == FILES
    assert list(differences(tree, texts)) == []
    assert {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()} == {Path(name) for name in FILES}

    (tree / "postfix/main.cf").unlink()
    (tree / "last-login.sql").write_text("")
    assert sorted(differences(tree, texts)) == [f"{tree}/last-login.sql differs", f"{tree}/postfix/main.cf is missing"]
    write(tree, texts)
    assert list(differences(tree, texts)) == []


def test_every_server_may_read_the_tree_whatever_the_umask(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    before = os.umask(0o077)
    try:
        write(tree, rendered(layout(tree), {}))
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in tree.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert {path.stat().st_mode & 0o777 for path in [tree, *tree.glob("*/")]} == {0o755}


def test_the_places_of_a_tree_are_remembered(tmp_path: Path) -> None:
    places = {"imap_port": "1143"}
    write(tmp_path, rendered(layout(tmp_path, **places), places))
    assert recorded(tmp_path) == places
    assert recorded(tmp_path / "absent") == {}


@pytest.mark.parametrize(
    "record", ["", "[]", "nonsense", '{"imap_port": 1143}', '{"directory": "/x"}', '{"no_such": "x"}']
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: str) -> None:
    (tmp_path / RECORD).write_text(record)
    with pytest.raises(CannotRender, match=RECORD):
        recorded(tmp_path)


def test_the_servers_own_tools_read_the_files(tmp_path: Path) -> None:
    postconf, doveconf = require("postconf", "postfix"), require("doveconf", "dovecot-core")
    require_file("dovecot-managesieved", "usr/lib*/dovecot/managesieve")
    tree = tmp_path / "tree"
    texts = rendered(layout(tree, certificate="/dev/null", private_key="/dev/null"), {})
    write(tree, texts)

    done = subprocess.run([postconf, "-c", str(tree / "postfix"), "-n"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    given = re.findall(r"^([a-z_]+) =", texts["postfix/main.cf"], re.MULTILINE)
    understood = set(re.findall(r"^([a-z_]+) =", done.stdout, re.MULTILINE))
    assert understood - {"config_directory"} == set(given)
    services = subprocess.run([postconf, "-c", str(tree / "postfix"), "-M"], capture_output=True, text=True, check=True)
    assert (services.stderr, len(services.stdout.splitlines())) == ("", 3)

    path = f"{tree}/dovecot-2.3/dovecot.conf"
    done = subprocess.run([doveconf, "-n", "-c", path], capture_output=True, text=True, check=True)
    assert done.stderr == "" and "sieve = file:~/sieve;active=~/.dovecot.sieve" in done.stdout
    assert json.loads(texts[RECORD]) == {}
