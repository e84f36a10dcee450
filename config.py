"""Every setting of mailsvc: its name in the environment, its form, its default and its meaning.

Settings are read once, from the environment. Each ``MAILSVC_X`` may be given as ``MAILSVC_X_FILE``, the path of a
file that holds the value (for secrets). An unknown ``MAILSVC_`` name, an unreadable file and a value out of range are
refused with one line that names the setting.
"""

import json
import os
import re
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from mailsvc.core.mail_accounts import ENCRYPTIONS, Offer, Provider
from mailsvc.core.passwords import checked_password
from mailsvc.core.refusals import BadInput
from mailsvc.core.texts import cleaned

ROOT = Path(__file__).resolve().parent
"""The checkout."""

PREFIX = "MAILSVC_"

TEST_ONLY = frozenset({"REQUIRE_SERVERS", "DEBIAN_13_ROOT"})
"""Names that the test suite reads; the service knows them only so as not to refuse an environment that has them."""

SPF_BYTES = 450
"""The longest SPF text that still leaves room for other TXT records in one 512-byte answer (RFC 7208, section 3.4)."""


NEVER_CALLED = (
    "169.254.0.0/16,fe80::/10,fd00:ec2::254/128,fd20:ce::254/128,100.100.100.200/32,168.63.129.16/32,192.0.0.192/32,"
    "0.0.0.0/32,::/128,224.0.0.0/4,ff00::/8"
)
"""Link-local, the metadata services of clouds, unspecified, multicast."""


class ConfigError(ValueError):
    """A setting that cannot be used. The text is one clear line and never holds the value of a secret."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Where to listen, or whom to ask, by TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


def _tcp_address(text: str, default_port: int | None = None) -> TcpAddress:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+))(?::([0-9]{1,5}))?", text)
    port = default_port if match is None or match[3] is None else int(match[3])
    if match is None or port is None or not 1 <= port <= 65535:
        raise ValueError("is not HOST:PORT")
    return TcpAddress(match[1] or match[2], port)


def _bind(text: str) -> TcpAddress | UnixAddress:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("is not HOST:PORT or unix:PATH")
        return UnixAddress(Path(path).absolute())
    try:
        return _tcp_address(text)
    except ValueError:
        raise ValueError("is not HOST:PORT or unix:PATH") from None


def _bind_or_off(text: str) -> TcpAddress | UnixAddress | None:
    return None if text == "off" else _bind(text)


def name_server(text: str) -> TcpAddress:
    """HOST or HOST:PORT of a name server. Raises ValueError, whose text goes on after the value."""
    return _tcp_address(text, default_port=53)


def _directory(text: str) -> Path:
    if not text:
        raise ValueError("is empty")
    return Path(text).absolute()


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise ValueError(f"is not a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is not one of: {', '.join(choices)}")
        return text

    return parse


_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


def _hostname(text: str) -> str:
    name = text.lower().rstrip(".")
    if len(name) > 253 or not re.fullmatch(rf"{_LABEL}(?:\.{_LABEL})*", name):
        raise ValueError("is not a host name")
    return name


def _selector(text: str) -> str:
    if not re.fullmatch(_LABEL, text):
        raise ValueError("is not a DKIM selector: one label of lower-case letters, digits and hyphens")
    return text


def _spf(text: str) -> str:
    if not re.fullmatch(r"v=spf1( [!#-\[\]-~]+)*", text) or len(text) > SPF_BYTES:
        raise ValueError(f"is not an SPF text: 'v=spf1', terms divided by one blank, at most {SPF_BYTES} bytes")
    left = text.replace("{hostname}", "")
    if re.search(r"(?<!%)\{|\}", re.sub(r"%\{[^{}]*\}", "", left)):
        raise ValueError("has braces that are neither {hostname} nor an SPF macro")
    return text


def _database_url(text: str) -> str:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not text.startswith(("postgresql+psycopg://", "sqlite:////")):
        raise ValueError("is not postgresql+psycopg://... (or sqlite:////absolute/path)")
    try:
        make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a URL that names host, port and database") from None
    return text


def _password(text: str) -> str:
    try:
        return checked_password(text)
    except BadInput:
        raise ValueError("is not a password: 1 to 256 bytes of UTF-8 without line breaks") from None


def _tsig_secret(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text) or len(text) % 4:
        raise ValueError("is not base64")
    return text


def _dns_name(text: str) -> str:
    return _hostname(text)


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        raise ValueError("has an unclosed quotation mark") from None
    if not words:
        raise ValueError("is empty")
    return words


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(item.strip()) for item in text.split(",") if item.strip())
    except ValueError:
        raise ValueError("is not a list of networks such as 10.0.0.0/8, fe80::/10") from None


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(item.strip() for item in text.split(",") if item.strip())
    for origin in origins:
        if not re.fullmatch(rf"https?://(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[0-9]{{1,5}})?", origin):
            raise ValueError("is not a list of origins such as https://panel.example.com")
    return origins


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("is not 0 or 1")
    return text == "1"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where collected mail is handed in, and by which protocol: ``lmtp`` or ``smtp``."""

    protocol: str
    address: TcpAddress | UnixAddress


def _delivery(text: str) -> Delivery:
    form = "is not lmtp://HOST:PORT, lmtp+unix:///PATH or smtp://HOST:PORT"
    protocol, mark, rest = text.partition("://")
    if mark and protocol == "lmtp+unix" and rest.startswith("/"):
        return Delivery("lmtp", UnixAddress(Path(rest)))
    if not mark or protocol not in ("lmtp", "smtp"):
        raise ValueError(form)
    try:
        return Delivery(protocol, _tcp_address(rest.removesuffix("/"), default_port=25 if protocol == "smtp" else 24))
    except ValueError:
        raise ValueError(form) from None


def _providers(text: str) -> Mapping[str, Provider]:
    try:
        table = json.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError("is not the path of a readable JSON file") from None
    if not isinstance(table, dict):
        raise ValueError("names a file that does not hold an object of domains")
    return {domain.lower(): _provider(domain, entry) for domain, entry in table.items()}


def _provider(domain: str, entry: Any) -> Provider:
    if not isinstance(entry, dict) or not entry.keys() <= {"imap", "pop3", "smtp"}:
        raise ValueError(f"has something other than imap, pop3 and smtp for {domain!r}")
    return Provider(**{name: _offer(f"{name} of {domain!r}", offer) for name, offer in entry.items()})


def _offer(what: str, entry: Any) -> Offer:
    if not isinstance(entry, dict) or not {"host", "port"} <= entry.keys() <= {"host", "port", "encryption", "login"}:
        raise ValueError(f"needs host and port, and takes encryption and login, for {what}")
    host, port, encryption, login = (entry.get(name) for name in ("host", "port", "encryption", "login"))
    if not isinstance(host, str) or not host or type(port) is not int or not 1 <= port <= 65535:
        raise ValueError(f"has no usable host and port for {what}")
    if encryption not in (None, *ENCRYPTIONS) or login not in (None, "email", "local"):
        raise ValueError(f"has an encryption other than 0, 1, 2 or a login other than email, local for {what}")
    return Offer(host, port, encryption or 0, by_local_part=login == "local")


def _machine_name() -> str:
    try:
        return _hostname(socket.getfqdn())
    except ValueError:
        return "localhost"


def setting(parse: Callable[[str], Any], default: object, *, secret: bool = False) -> Any:
    """A field of Settings: how its text is read, and what holds when it is absent (a callable is called)."""
    return field(default=None, repr=not secret, metadata={"parse": parse, "default": default, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, typed.

    The name in the environment is the field's name in upper case with ``MAILSVC_`` before it.
    """

    data_dir: Path = setting(_directory, ROOT / "instance")
    """Database ``mailsvc.sqlite3``, keys ``secret.keys``, generated files."""

    bind: TcpAddress | UnixAddress = setting(_bind, TcpAddress("127.0.0.1", 8002))
    """Listening address; ``unix:PATH`` works too."""

    milter_bind: TcpAddress | UnixAddress = setting(_bind, TcpAddress("127.0.0.1", 8891))
    """Where ``milter`` listens for Postfix; ``unix:PATH`` works too."""

    quota_status: TcpAddress | UnixAddress | None = setting(_bind_or_off, TcpAddress("127.0.0.1", 12340))
    """Dovecot's ``quota-status`` service, which ``milter`` asks whether a message fits; ``off`` asks nobody."""

    database_url: str | None = setting(_database_url, None, secret=True)
    """SQLite in the data directory when absent, or ``postgresql+psycopg://...``."""

    workers: int = setting(_whole(1, 64), 2)
    """gunicorn processes. The default is measured: docs/performance.md."""

    threads: int = setting(_whole(1, 64), 2)
    """Threads of each process. The default is measured: docs/performance.md."""

    root_password: str | None = setting(_password, None, secret=True)
    """Only read when the root user is created; random when absent."""

    hostname: str = setting(_hostname, _machine_name)
    """MX target, EHLO name and name server of generated zones."""

    spf: str = setting(_spf, "v=spf1 mx ~all")
    """What ``onspf`` publishes; ``{hostname}`` is filled in."""

    dkim_selector: str = setting(_selector, "mail")
    """Selector of new DKIM keys."""

    dns: str = setting(_one_of("database", "rfc2136", "zonefile"), "database")
    """Where records are published."""

    rfc2136_server: TcpAddress | None = setting(name_server, None)
    """HOST or HOST:PORT of the name server that takes the updates (needed by ``dns=rfc2136``)."""

    rfc2136_key_name: str | None = setting(_dns_name, None)
    """Name of the TSIG key (needed by ``dns=rfc2136``)."""

    rfc2136_key_secret: str | None = setting(_tsig_secret, None, secret=True)
    """The TSIG key itself, base64 (needed by ``dns=rfc2136``); best given as ``MAILSVC_RFC2136_KEY_SECRET_FILE``."""

    rfc2136_key_algorithm: str = setting(_one_of("hmac-sha256", "hmac-sha384", "hmac-sha512"), "hmac-sha256")
    """Algorithm of the TSIG key."""

    zonefile_dir: Path | None = setting(_directory, None)
    """Directory of the include files of ``dns=zonefile``; ``zones`` in the data directory when absent."""

    zonefile_reload: tuple[str, ...] | None = setting(_command, None)
    """Command run after an include file changed; ``{domain}`` is filled in. No shell.

    Its failure is a refused change.
    """

    smtp_deny_networks: tuple[IPv4Network | IPv6Network, ...] = setting(_networks, _networks(NEVER_CALLED))
    """Networks that the service never connects to, for any dialect and protocol (SMTP, IMAP, POP3)."""

    allow_invalid_certs: bool = setting(_switch, False)
    """``1``: the certificates of foreign mail servers are not verified."""

    connect_timeout: int = setting(_whole(1, 300), 15)
    """Seconds to reach a foreign mail server."""

    login_timeout: int = setting(_whole(1, 300), 30)
    """Seconds to log in to a foreign mail server."""

    local_delivery: Delivery | None = setting(_delivery, None)
    """Where collected mail is handed in; without it nothing is collected."""

    collect_interval: int = setting(_whole(1, 86_400), 90)
    """Seconds between visits of one external account."""

    mail_providers: Mapping[str, Provider] = setting(_providers, {})
    """JSON file of known mail providers: domain, then ``imap``, ``pop3`` and ``smtp``, each with ``host``, ``port``,
    ``encryption`` (0 none, 1 TLS, 2 STARTTLS) and ``login`` (``email`` or ``local``).
    """

    cors_origins: tuple[str, ...] = setting(_origins, ())
    """Web origins whose scripts may call the Webitel dialect; none unless said."""

    docspace_default: str = setting(_one_of("standalone", "saas"), "standalone")
    """Whether the DocSpace dialect shows the installation's SMTP settings as its defaults, or hides them (``saas``)."""

    docspace_test_limit: int = setting(_whole(0, 1_000_000), 5)
    """Test messages per user and 15 minutes in the DocSpace dialect; 0 is no limit."""

    resolver: TcpAddress | None = setting(name_server, None)
    """HOST or HOST:PORT of the resolver that look-ups of what others see go to; the system's when absent."""

    mail_root: Path = setting(_directory, Path("/var/vmail"))
    """Where mailboxes live on disk: ``mailsvc.mailhost.homes`` says which directory is whose."""

    purge_after_days: int = setting(_whole(0, 3650), 7)
    """Days that the mail of a removed mailbox is kept, so that the mailbox can be brought back."""

    trusted_proxies: int = setting(_whole(0, 8), 0)
    """Number of reverse proxies in front whose ``X-Forwarded-*`` count."""

    log_format: str | None = setting(_one_of("text", "json"), None)
    """``text`` on a terminal, else ``json``."""

    @property
    def database_file(self) -> Path | None:
        """The SQLite file, or None on PostgreSQL."""
        if self.database_url is None:
            return self.data_dir / "mailsvc.sqlite3"
        if self.database_url.startswith("sqlite:///"):
            return Path(self.database_url.removeprefix("sqlite:///"))
        return None

    @property
    def key_file(self) -> Path:
        """Keys that open the sealed values. Kept apart from every backup of the database."""
        return self.data_dir / "secret.keys"

    @property
    def spf_text(self) -> str:
        """The SPF text with the host name filled in."""
        return self.spf.replace("{hostname}", self.hostname)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that ``environ`` (default: the process's) asks for. Raises ConfigError."""
    given = dict(os.environ if environ is None else environ)
    known = {item.name: item for item in fields(Settings)}
    _refuse_unknown(given, {name.upper() for name in known} | TEST_ONLY)
    values: dict[str, Any] = {}
    for name, item in known.items():
        text = _text_of(given, PREFIX + name.upper())
        default = item.metadata["default"]
        values[name] = (
            _parsed(name, text, item.metadata) if text is not None else default() if callable(default) else default
        )
    settings = Settings(**values)
    _refuse_incomplete(settings)
    return settings


def _refuse_unknown(given: Mapping[str, str], known: set[str]) -> None:
    for name in sorted(given):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).removesuffix("_FILE") not in known:
            raise ConfigError(f"{name}: there is no such setting")


def _text_of(given: Mapping[str, str], name: str) -> str | None:
    direct, file = given.get(name), given.get(name + "_FILE")
    if direct is not None and file is not None:
        raise ConfigError(f"{name} and {name}_FILE: give one of the two")
    if file is None:
        return direct
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{name}_FILE: cannot read {cleaned(file, 400)}: {reason}") from None


def _parsed(name: str, text: str, metadata: Mapping[str, Any]) -> object:
    try:
        return metadata["parse"](text)
    except ValueError as error:
        shown = "the value" if metadata["secret"] else repr(text[:80])
        raise ConfigError(f"{PREFIX}{name.upper()}: {shown} {error}") from None


def _refuse_incomplete(settings: Settings) -> None:
    if settings.dns == "rfc2136":
        for name in ("rfc2136_server", "rfc2136_key_name", "rfc2136_key_secret"):
            if getattr(settings, name) is None:
                raise ConfigError(f"{PREFIX}{name.upper()}: is needed with {PREFIX}DNS=rfc2136")
