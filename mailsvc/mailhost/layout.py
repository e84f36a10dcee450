"""Where everything is on the machine of the mail servers: the values that the templates are filled with.

The defaults are Debian's. Each field that has a ``help`` is an option of ``mailhost render``.
"""

import re
from dataclasses import dataclass, field, fields
from pathlib import Path

import config

_SAFE = re.compile(r"[A-Za-z0-9._/:+*\[\]-]+(?:, [A-Za-z0-9._/:*\[\]-]+)*")
"""What means the same in every one of these formats: no quotation, no variable, no comment, no second line."""

_MAY_BE_EMPTY = {"milter", "quota_status"}


class CannotRender(Exception):
    """There is no configuration for this arrangement. The text is one clear line."""


def _place(default: str, text: str, setting: str | None = None) -> str:
    """A field that is an option; what it is unless given is ``setting``, or else ``default``."""
    shown = f"{text}  [default: {setting or default}]" if setting or default else text
    value: str = field(default=default, metadata={"help": shown})
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths, ports and users. Raises CannotRender when a value would not survive in a configuration file."""

    directory: str
    """Where the rendered files are, and stay: the servers read the maps there."""

    database: str
    """The SQLite file."""

    hostname: str
    """The server's name, as in its certificate."""

    mail_root: str
    """Directory of the mailboxes' homes (mailsvc.mailhost.homes)."""

    mail_user: str = _place("vmail", "User that owns all mail.")
    mail_group: str = _place("vmail", "Group of that user.")
    read_group: str = _place("mailsvc-read", "Group that may read the database.")
    certificate: str = _place("", "TLS certificate with its chain.  [default: Let's Encrypt's of the host name]")
    private_key: str = _place("", "Key of the certificate.  [default: beside it]")
    last_login: str = _place("/var/lib/dovecot/mailsvc/last-login.sqlite3", "Database of the last logins.")
    milter: str = _place(
        "127.0.0.1:8891", "HOST:PORT or unix:PATH of `python -m mailsvc milter`; empty for none.", "MAILSVC_MILTER_BIND"
    )
    quota_status: str = _place(
        "127.0.0.1:12340", "HOST:PORT or unix:PATH where that asks Dovecot about quotas.", "MAILSVC_QUOTA_STATUS"
    )
    queue: str = _place("/var/spool/postfix", "Postfix's queue directory; Dovecot's sockets for it are below.")
    postfix_user: str = _place("postfix", "User and group of Postfix.")
    dovecot_local: str = _place("/etc/dovecot/local.conf", "Dovecot's file of changes to the rendered one.")
    listen: str = _place("*, ::", "Addresses that Dovecot listens on.")
    smtp_listen: str = _place("all", "Addresses that Postfix listens on.")
    submission: str = _place("submission", "Port of submission with STARTTLS, as master.cf names it.")
    submissions: str = _place("submissions", "Port of submission over TLS, as master.cf names it.")
    reinjection: str = _place("127.0.0.1:10026", "Loopback address where Postfix takes what Sieve sends.")
    imap_port: str = _place("143", "Port of IMAP with STARTTLS.")
    imaps_port: str = _place("993", "Port of IMAP over TLS.")
    pop3_port: str = _place("110", "Port of POP3 with STLS.")
    pop3s_port: str = _place("995", "Port of POP3 over TLS.")
    sieve_port: str = _place("4190", "Port of ManageSieve.")

    def __post_init__(self) -> None:
        """Fill in what depends on other values, and refuse what no configuration file could hold."""
        live = f"/etc/letsencrypt/live/{self.hostname}"
        object.__setattr__(self, "certificate", self.certificate or f"{live}/fullchain.pem")
        beside = str(Path(self.certificate).with_name("privkey.pem"))
        object.__setattr__(self, "private_key", self.private_key or beside)
        object.__setattr__(self, "milter", _seen_from(self.queue, self.milter))
        for item in fields(self):
            value = getattr(self, item.name)
            if not _SAFE.fullmatch(value) and not (item.name in _MAY_BE_EMPTY and not value):
                raise CannotRender(f"{item.name.replace('_', '-')}: {value!r} cannot stand in a configuration file")


def _seen_from(queue: str, milter: str) -> str:
    """The milter's address as smtpd, which is confined to the queue directory, has to name it."""
    if not milter.startswith("unix:/"):
        return milter
    path = Path(milter.removeprefix("unix:"))
    if not path.is_relative_to(queue):
        raise CannotRender(f"milter: Postfix reaches no socket outside of {queue}, such as {path}")
    return f"unix:{path.relative_to(queue)}"


PLACES = tuple(item.name for item in fields(Layout) if "help" in item.metadata)
"""What may be elsewhere than Debian has it."""


def layout(settings: config.Settings, directory: Path, **places: str) -> Layout:
    """The arrangement of an installation with these settings, rendered into ``directory``.

    ``places`` are fields of Layout that are not Debian's. Raises CannotRender: the servers read SQLite only.
    """
    if settings.database_file is None:
        raise CannotRender("the rendered configuration reads SQLite: there is none for MAILSVC_DATABASE_URL=postgresql")
    listening = {"milter": str(settings.milter_bind), "quota_status": str(settings.quota_status or "")}
    return Layout(
        directory=str(directory.absolute()),
        database=str(settings.database_file),
        hostname=settings.hostname,
        mail_root=str(settings.mail_root),
        **listening | places,
    )
