"""Accounts to be collected in tests, from one Dovecot into another."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mailsvc.core.acts import Act
from mailsvc.core.mail_accounts import IMAP, LOGIN, PLAIN, SMTP, MailServer, Servers
from mailsvc.courier.handover import Handover
from mailsvc.services import accounts, collection, leases
from mailsvc.services.accounts import Wanted
from mailsvc.services.ports import Ports
from mailsvc.store.types import now
from tests.servers.dovecot_mail import PASSWORD, DovecotMail
from tests.services.callers import act_of, add_mailbox, found

LOCAL = "collected@example.com"
"""The local mailbox of alice's that mail is collected into."""

_numbers = itertools.count(1)


def new_user() -> str:
    """A foreign address that no other test has."""
    return f"user{next(_numbers)}@foreign.test"


def message(subject: str, *, date: str = "Tue, 01 Sep 2026 10:00:00 +0000", body: str = "Hello.") -> bytes:
    """A message with CRLF for line ends."""
    return f"From: a@foreign.test\r\nDate: {date}\r\nSubject: {subject}\r\n\r\n{body}\r\n".encode()


def subjects(messages: Sequence[bytes]) -> list[str]:
    """What they are about, sorted."""
    return sorted(line[9:].decode() for text in messages for line in text.splitlines() if line.startswith(b"Subject: "))


def keys(messages: Sequence[bytes]) -> list[str]:
    """The keys in the marks of collected messages, sorted."""
    return sorted(text.split(b"key=", 1)[1][:16].decode() for text in messages)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    moment: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.moment

    def move(self, **much: float) -> None:
        """Let time pass."""
        self.moment += timedelta(**much)


@dataclass
class Stage:
    """mailsvc between a foreign server and the local one."""

    ports: Ports
    foreign: DovecotMail
    local: DovecotMail
    clock: Clock = field(default_factory=Clock)
    holder: str = field(default_factory=leases.new_holder)
    target: tuple[str, int] | Path | None = None
    protocol: str = "lmtp"
    stopping: Callable[[], bool] = lambda: False

    @property
    def alice(self) -> Act:
        """An Act of the owner of LOCAL."""
        return act_of(self.ports, "alice")

    def incoming(self, user: str, protocol: str = IMAP, **more: Any) -> MailServer:
        """How ``user`` logs in to the foreign server."""
        port = self.foreign.imap if protocol == IMAP else self.foreign.pop3
        return replace(MailServer(protocol, "127.0.0.1", port, user, PLAIN, LOGIN), **more)

    def wanted(self, user: str, protocol: str = IMAP, **more: Any) -> Wanted:
        """An account of ``user``; ``more`` are members of Wanted, or of its incoming server."""
        members = {name: more.pop(name) for name in list(more) if name in Wanted.__dataclass_fields__}
        outgoing = MailServer(SMTP, "127.0.0.1", 1, user, PLAIN, LOGIN)
        usual: dict[str, Any] = {"name": "", "restrict": False, "deliver_to": LOCAL}
        usual |= {"password": PASSWORD, "smtp_password": PASSWORD}
        servers = Servers(self.incoming(user, protocol, **more), outgoing)
        return Wanted(email=user, servers=servers, **(usual | members))

    def save(self, user: str, protocol: str = IMAP, **more: Any) -> int:
        """Save an account without asking any server; gives its number."""
        return accounts.put(self.ports, self.alice, self.wanted(user, protocol, **more)).id

    def visit(self, account: int, *, holder: str | None = None) -> dict[str, Any]:
        """One visit of an account, due or not; gives the account's row afterwards."""
        holder = holder or self.holder
        rows = leases.next_after(self.ports, holder, moment=self.clock(), after=account - 1, most=1)
        assert [row.id for row in rows] == [account], "the account is not to be had"
        session = self.visitor(holder).visit(rows[0])
        if session is not None:
            session.close()
        return self.row(account)

    def visitor(self, holder: str | None = None) -> collection.Visitor:
        """Who visits."""
        return collection.Visitor(self.ports, holder or self.holder, self.handover, self.clock, self.stopping)

    def handover(self) -> Handover:
        """A line to the local server."""
        return Handover(self.protocol, self.target or ("127.0.0.1", self.local.lmtp), name="mail.server.test")

    def row(self, account: int) -> dict[str, Any]:
        """The account as it is stored, times in milliseconds."""
        names = "id, enabled, auth_error, quota_error, failing_since, visited_at, next_visit_at, collected, last_error"
        rows = found(self.ports, f"SELECT {names}, lease_holder FROM external_account WHERE id = {account}")
        return dict(zip([*names.split(", "), "lease_holder"], rows[0], strict=True)) if rows else {}

    def collected(self) -> list[bytes]:
        """What has arrived in the local mailbox."""
        return self.local.messages(LOCAL)

    def wipe(self) -> None:
        """Empty the local mailbox."""
        for path in self.local.maildir(LOCAL).glob("*/*:*"):
            path.unlink()
        for path in self.local.maildir(LOCAL).glob("new/*"):
            path.unlink()


@contextmanager
def stage(ports: Ports, foreign: DovecotMail, local: DovecotMail) -> Iterator[Stage]:
    """The stage, with LOCAL in existence and empty."""
    add_mailbox(ports, LOCAL)
    ready = Stage(ports, foreign, local)
    ready.wipe()
    yield ready


def milliseconds(moment: datetime) -> int:
    """As the store keeps it."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
