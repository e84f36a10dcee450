"""Every setting: its default, what it takes, and the one line with which it refuses anything else."""

import socket
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

import config
from config import ConfigError, Delivery, TcpAddress, UnixAddress
from mailsvc.core.mail_accounts import Offer, Provider

CANARY = "Canary-7c1e"
"""Stands in for a secret: it must not come up in any message."""

RFC2136 = {
    "MAILSVC_DNS": "rfc2136",
    "MAILSVC_RFC2136_SERVER": "192.0.2.1",
    "MAILSVC_RFC2136_KEY_NAME": "update.example",
    "MAILSVC_RFC2136_KEY_SECRET": "c2VjcmV0",
}

DEFAULTS: dict[str, Any] = {
    "data_dir": config.ROOT / "instance",
    "bind": TcpAddress("127.0.0.1", 8002),
    "milter_bind": TcpAddress("127.0.0.1", 8891),
    "quota_status": TcpAddress("127.0.0.1", 12340),
    "database_url": None,
    "workers": 2,
    "threads": 2,
    "root_password": None,
    "spf": "v=spf1 mx ~all",
    "dkim_selector": "mail",
    "dns": "database",
    "rfc2136_server": None,
    "rfc2136_key_name": None,
    "rfc2136_key_secret": None,
    "rfc2136_key_algorithm": "hmac-sha256",
    "zonefile_dir": None,
    "zonefile_reload": None,
    "smtp_deny_networks": tuple(ip_network(text) for text in config.NEVER_CALLED.split(",")),
    "allow_invalid_certs": False,
    "connect_timeout": 15,
    "login_timeout": 30,
    "local_delivery": None,
    "collect_interval": 90,
    "mail_providers": {},
    "cors_origins": (),
    "docspace_default": "standalone",
    "docspace_test_limit": 5,
    "resolver": None,
    "mail_root": Path("/var/vmail"),
    "purge_after_days": 7,
    "trusted_proxies": 0,
    "log_format": None,
}

SECRETS = {"database_url", "root_password", "rfc2136_key_secret"}

LONG_SPF = "v=spf1 exists:".ljust(config.SPF_BYTES, "a")

GOOD: list[tuple[str, str, Any]] = [
    ("data_dir", "/srv/mailsvc", Path("/srv/mailsvc")),
    ("data_dir", "relative/place", Path.cwd() / "relative" / "place"),
    ("bind", "0.0.0.0:80", TcpAddress("0.0.0.0", 80)),
    ("bind", "mail.example:65535", TcpAddress("mail.example", 65535)),
    ("bind", "[::1]:8002", TcpAddress("::1", 8002)),
    ("bind", "unix:/run/mailsvc.sock", UnixAddress(Path("/run/mailsvc.sock"))),
    ("bind", "unix:mailsvc.sock", UnixAddress(Path.cwd() / "mailsvc.sock")),
    ("milter_bind", "[::1]:8891", TcpAddress("::1", 8891)),
    ("milter_bind", "unix:/run/milter", UnixAddress(Path("/run/milter"))),
    ("quota_status", "192.0.2.1:1", TcpAddress("192.0.2.1", 1)),
    ("quota_status", "unix:/run/quota-status", UnixAddress(Path("/run/quota-status"))),
    ("quota_status", "off", None),
    ("database_url", "postgresql+psycopg://user:password@host/name", "postgresql+psycopg://user:password@host/name"),
    ("database_url", "sqlite:////srv/mail.sqlite3", "sqlite:////srv/mail.sqlite3"),
    ("workers", "1", 1),
    ("workers", "64", 64),
    ("threads", "1", 1),
    ("threads", "64", 64),
    ("root_password", " any thing, также по-русски ", " any thing, также по-русски "),
    ("hostname", "mail.example.com", "mail.example.com"),
    ("hostname", "MAIL.Example.COM.", "mail.example.com"),
    ("hostname", "localhost", "localhost"),
    ("spf", "v=spf1", "v=spf1"),
    ("spf", "v=spf1 a:{hostname} -all", "v=spf1 a:{hostname} -all"),
    ("spf", "v=spf1 exists:%{i}._spf.%{d2} -all", "v=spf1 exists:%{i}._spf.%{d2} -all"),
    ("spf", LONG_SPF, LONG_SPF),
    ("dkim_selector", "2026-k1", "2026-k1"),
    ("dkim_selector", "a" * 63, "a" * 63),
    ("dns", "database", "database"),
    ("dns", "zonefile", "zonefile"),
    ("rfc2136_server", "192.0.2.1", TcpAddress("192.0.2.1", 53)),
    ("rfc2136_server", "ns.example:5353", TcpAddress("ns.example", 5353)),
    ("rfc2136_server", "[2001:db8::1]", TcpAddress("2001:db8::1", 53)),
    ("rfc2136_key_name", "Update.Example.", "update.example"),
    ("rfc2136_key_secret", "c2VjcmV0Cg==", "c2VjcmV0Cg=="),
    ("rfc2136_key_algorithm", "hmac-sha512", "hmac-sha512"),
    ("zonefile_dir", "/etc/bind/mailsvc", Path("/etc/bind/mailsvc")),
    ("zonefile_reload", "rndc reload {domain}", ("rndc", "reload", "{domain}")),
    ("zonefile_reload", "sudo -n 'a program' \"two words\"", ("sudo", "-n", "a program", "two words")),
    ("smtp_deny_networks", "", ()),
    ("smtp_deny_networks", "10.0.0.0/8, fe80::/10", (ip_network("10.0.0.0/8"), ip_network("fe80::/10"))),
    ("allow_invalid_certs", "1", True),
    ("connect_timeout", "300", 300),
    ("login_timeout", "1", 1),
    ("local_delivery", "lmtp+unix:///run/lmtp", Delivery("lmtp", UnixAddress(Path("/run/lmtp")))),
    ("local_delivery", "lmtp://127.0.0.1:24", Delivery("lmtp", TcpAddress("127.0.0.1", 24))),
    ("local_delivery", "smtp://[::1]:25", Delivery("smtp", TcpAddress("::1", 25))),
    ("collect_interval", "1", 1),
    (
        "mail_providers",
        str(config.ROOT / "deploy" / "mail-providers.example.json"),
        {
            "example.com": Provider(
                imap=Offer("imap.example.com", 993, 1),
                pop3=Offer("pop.example.com", 995, 1, by_local_part=True),
                smtp=Offer("smtp.example.com", 587, 2),
            )
        },
    ),
    ("cors_origins", "https://a.example, http://[::1]:80", ("https://a.example", "http://[::1]:80")),
    ("docspace_default", "saas", "saas"),
    ("docspace_test_limit", "0", 0),
    ("resolver", "192.0.2.53", TcpAddress("192.0.2.53", 53)),
    ("resolver", "[::1]:5353", TcpAddress("::1", 5353)),
    ("mail_root", "/srv/mail", Path("/srv/mail")),
    ("purge_after_days", "0", 0),
    ("purge_after_days", "3650", 3650),
    ("trusted_proxies", "0", 0),
    ("trusted_proxies", "8", 8),
    ("log_format", "text", "text"),
    ("log_format", "json", "json"),
]

BAD: list[tuple[str, str]] = [
    ("data_dir", ""),
    *(("bind", text) for text in ("", "8002", ":8002", "host", "host:", "host:65536", "host:-1", "host:port", "unix:")),
    *(("bind", text) for text in ("127.0.0.1:0", "[::1]:00", "host:0")),
    *(("bind", text) for text in ("::1:8002", "[::1]", "[host]:80", "a b:80", "host:80/x", "host:80 ", "host:٣")),
    *(("milter_bind", text) for text in ("", "off", "8891", "host:port", "unix:")),
    *(("quota_status", text) for text in ("", "none", "12340", "host:65536", "unix:")),
    ("database_url", f"mysql://u:{CANARY}@host/name"),
    ("database_url", f"postgresql://u:{CANARY}@host/name"),
    ("database_url", f"sqlite:///{CANARY}"),
    ("database_url", f"postgresql+psycopg://u:{CANARY}@host:port/name"),
    ("database_url", f"postgresql+psycopg://u:{CANARY}@host:1:2/name"),
    ("database_url", ""),
    *(("workers", text) for text in ("", "0", "65", "-1", "+1", "1.0", "two", " 2", "2 ", "٢", "1" * 30)),
    *(("threads", text) for text in ("", "0", "65", "-1", "four", "0x4", "4\n")),
    ("root_password", ""),
    *(
        ("hostname", text)
        for text in ("", ".", "-a", "a-", "a..b", "a b", "a_b", "почта.рф", "a" * 64, "a." * 127 + "a")
    ),
    *(("spf", text) for text in ("", "v=spf2 -all", "V=SPF1 -all", "v=spf1  -all", "v=spf1 -all ", "v=spf1\t-all")),
    *(("spf", text) for text in ('v=spf1 "', "v=spf1 \\", "v=spf1 п", "v=spf1 {host}", "v=spf1 a:}", LONG_SPF + "a")),
    *(("dkim_selector", text) for text in ("", "Mail", "a_b", "-a", "a-", ".a", "a..b", "a" * 64, "a b")),
    *(("dns", text) for text in ("", "Database", "powerdns", "rfc2136 ")),
    *(("rfc2136_server", text) for text in ("", "a b", "host:99999", "host:", "[::1", "2001:db8::1")),
    *(("rfc2136_key_name", text) for text in ("", "a b", "a_b")),
    *(("rfc2136_key_secret", text) for text in ("", f"{CANARY}", "abc", "abcd=efg", "ab cd")),
    *(("rfc2136_key_algorithm", text) for text in ("", "hmac-md5", "HMAC-SHA256")),
    ("zonefile_dir", ""),
    *(("zonefile_reload", text) for text in ("", "   ", "rndc 'reload")),
    *(("smtp_deny_networks", text) for text in ("10.0.0.1/8", "10.0.0.0/33", "local", "10.0.0.0/8;fe80::/10")),
    *(("allow_invalid_certs", text) for text in ("", "yes", "2", "true")),
    *(("connect_timeout", text) for text in ("", "0", "301", "1.5")),
    *(("login_timeout", text) for text in ("", "0", "301", "-1")),
    *(
        ("local_delivery", text)
        for text in ("", "lmtp", "lmtp://", "lmtp+unix://relative", "http://a:1", "smtp://a:99999")
    ),
    *(("collect_interval", text) for text in ("", "0", "86401")),
    *(("mail_providers", text) for text in ("", "/nonexistent/providers.json")),
    *(("cors_origins", text) for text in ("*", "null", "a.example", "https://a.example/", "https://A.example")),
    *(("docspace_default", text) for text in ("", "SaaS", "cloud")),
    *(("docspace_test_limit", text) for text in ("", "-1", "many")),
    *(("resolver", text) for text in ("", "192.0.2.53:65536", "a b")),
    ("mail_root", ""),
    *(("purge_after_days", text) for text in ("", "-1", "3651", "7d")),
    *(("trusted_proxies", text) for text in ("", "9", "-1", "yes")),
    *(("log_format", text) for text in ("", "JSON", "xml")),
]


def variable(name: str) -> str:
    """The name of a setting in the environment."""
    return f"MAILSVC_{name.upper()}"


def refusal(environ: dict[str, str]) -> str:
    """The text with which the settings are refused: one line."""
    with pytest.raises(ConfigError) as refused:
        config.load(environ)
    text = str(refused.value)
    assert text and text.isprintable()
    return text


def test_without_an_environment_every_setting_has_its_default() -> None:
    settings = config.load({})
    assert {item.name for item in fields(settings)} == {*DEFAULTS, "hostname"}
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS


def test_the_host_name_is_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: "Mail.Example.COM")
    assert config.load({}).hostname == "mail.example.com"
    monkeypatch.setattr(socket, "getfqdn", lambda: "not_a_host_name")
    assert config.load({}).hostname == "localhost"


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_good_value(name: str, text: str, value: object) -> None:
    assert getattr(config.load({variable(name): text}), name) == value


@pytest.mark.parametrize("name", [*DEFAULTS, "hostname"])
def test_every_setting_is_tried_with_good_and_bad_values(name: str) -> None:
    assert name in {good for good, *_ in GOOD}
    assert name in {bad for bad, _ in BAD}


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_refused_by_name(name: str, text: str) -> None:
    line = refusal({variable(name): text})
    assert line.startswith(f"{variable(name)}: ")
    assert CANARY not in line


def test_a_bad_value_is_shown_unless_it_is_a_secret() -> None:
    assert "'hmac-md5'" in refusal({"MAILSVC_RFC2136_KEY_ALGORITHM": "hmac-md5"})
    assert len(refusal({"MAILSVC_WORKERS": "9" * 10_000})) < 200


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_value_from_a_file(name: str, text: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(text + "\n", encoding="utf-8")
    assert getattr(config.load({f"{variable(name)}_FILE": str(file)}), name) == value


def test_only_the_end_of_line_is_cut_off_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b" secret \t\r\n")
    assert config.load({"MAILSVC_ROOT_PASSWORD_FILE": str(file)}).root_password == " secret \t"


@pytest.mark.parametrize("name", [*DEFAULTS, "hostname"])
def test_a_value_and_a_file_are_one_too_many(name: str, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text(CANARY)
    line = refusal({variable(name): CANARY, f"{variable(name)}_FILE": str(file)})
    assert line.startswith(f"{variable(name)} and {variable(name)}_FILE: ")
    assert CANARY not in line


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_bad_secret_from_a_file_is_not_shown(name: str, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(CANARY.encode() + b"\xff")
    assert CANARY not in refusal({f"{variable(name)}_FILE": str(file)})


@pytest.mark.parametrize("name", ["absent", "directory", "absent/below", "bytes"])
def test_an_unreadable_file_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    line = refusal({"MAILSVC_SPF_FILE": str(tmp_path / name)})
    assert line.startswith(f"MAILSVC_SPF_FILE: cannot read {tmp_path / name}: ")


def test_a_file_name_of_several_lines_makes_no_second_line(tmp_path: Path) -> None:
    assert refusal({"MAILSVC_SPF_FILE": f"{tmp_path}/one\ntwo"}).startswith("MAILSVC_SPF_FILE: ")


@pytest.mark.parametrize(
    "name",
    ["MAILSVC_NONSENSE", "MAILSVC_NONSENSE_FILE", "MAILSVC_", "MAILSVC_FILE", "MAILSVC__FILE", "MAILSVC_spf",
     "MAILSVC_SPF_FILE_FILE", "MAILSVC_DATABASE_FILE"],
)  # fmt: skip
def test_an_unknown_name_is_refused(name: str) -> None:
    line = refusal({name: CANARY})
    assert line.startswith(f"{name}: ")
    assert CANARY not in line


def test_other_programs_settings_are_not_ours_to_judge() -> None:
    environ = {"PATH": "/bin", "MAILSVCX": "1", "mailsvc_spf": "1", "MAIL": "1", "MAILSVC_REQUIRE_SERVERS": "1"}
    environ["MAILSVC_DEBIAN_13_ROOT"] = "/absent"
    assert config.load(environ) == config.load({})


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSVC_DKIM_SELECTOR", "fromhere")
    assert config.load().dkim_selector == "fromhere"


def test_no_secret_is_in_the_representation() -> None:
    url = f"postgresql+psycopg://u:{CANARY}@host/name"
    environ = RFC2136 | {"MAILSVC_DATABASE_URL": url, "MAILSVC_ROOT_PASSWORD": CANARY}
    settings = config.load(environ | {"MAILSVC_RFC2136_KEY_SECRET": "Q2FuYXJ5"})
    shown = f"{settings!r} {settings}"
    assert (settings.database_url, settings.root_password) == (url, CANARY)
    assert CANARY not in shown and "Q2FuYXJ5" not in shown
    assert {item.name for item in fields(settings) if not item.repr} == SECRETS


def test_dynamic_updates_need_their_key() -> None:
    assert config.load(RFC2136).dns == "rfc2136"
    for name in ("MAILSVC_RFC2136_SERVER", "MAILSVC_RFC2136_KEY_NAME", "MAILSVC_RFC2136_KEY_SECRET"):
        given = {key: value for key, value in RFC2136.items() if key != name}
        assert refusal(given).startswith(f"{name}: ")


def test_where_the_database_is() -> None:
    data = {"MAILSVC_DATA_DIR": "/srv"}
    elsewhere = config.load(data | {"MAILSVC_DATABASE_URL": "sqlite:////var/mail.sqlite3"})
    on_postgresql = config.load(data | {"MAILSVC_DATABASE_URL": "postgresql+psycopg://host/name"})
    assert config.load(data).database_file == Path("/srv/mailsvc.sqlite3")
    assert elsewhere.database_file == Path("/var/mail.sqlite3")
    assert on_postgresql.database_file is None
    assert {one.key_file for one in (elsewhere, on_postgresql)} == {Path("/srv/secret.keys")}


def test_the_host_name_is_filled_into_the_spf_text() -> None:
    settings = config.load({"MAILSVC_SPF": "v=spf1 a:{hostname} -all", "MAILSVC_HOSTNAME": "mx.example"})
    assert settings.spf_text == "v=spf1 a:mx.example -all"


def test_addresses_are_written_as_they_are_read() -> None:
    for text in ("127.0.0.1:8002", "[::1]:8002", "mail.example:1", "unix:/run/mailsvc.sock"):
        assert str(config.load({"MAILSVC_BIND": text}).bind) == text
