"""Visiting an external account: what is new there is handed in at the local mailbox, every message once.

A message is remembered only after the local mail server has taken it, and before the next one is handed in. So a crash
loses nothing; one exactly between the two repeats that one message, with the same key in its mark.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, bindparam, select, update

from mailsvc.core.acts import ROOT
from mailsvc.core.mail_accounts import IMAP
from mailsvc.courier import probe
from mailsvc.courier.failures import Failure
from mailsvc.courier.handover import Handover, MailboxFull, NotNow, Refused
from mailsvc.courier.imap import ImapSession
from mailsvc.courier.itself import is_this_machine
from mailsvc.courier.pop3 import Pop3Session
from mailsvc.courier.spool import Spool
from mailsvc.services import accounts, installation_id, leases, login_checks, remembered_mail
from mailsvc.services.mail_sources import Candidate, ImapMailbox, Pop3Mailbox, Withheld
from mailsvc.services.ports import Ports
from mailsvc.store.models import ExternalAccount as Row
from mailsvc.store.models import PanelUser
from mailsvc.store.questions import Change, Question
from mailsvc.store.types import OFF, ON, Instant
from mailsvc.vault.seals import CannotOpen

Found = Any
"""A row of external_account."""

Session = ImapSession | Pop3Session

log = logging.getLogger("mailsvc.collection")

MOST = 100
"""Messages of one visit: a fair share."""

AUTH_ERROR_AFTER = timedelta(hours=1)
DISABLED_AFTER = timedelta(days=3)
FULL_PAUSE = timedelta(seconds=600)

RECORDING_SECONDS = 60.0
"""How long a message that was accepted waits to be put on record: to give up would bring it a second time."""

MARK = "X-Mailsvc-Collected"

OWN_PORTS = frozenset({110, 143, 993, 995})

NO_MAILBOX = "there is no local mailbox to collect into"
ITSELF = "the account is its own local mailbox"
CHANGED = "changed while it was visited"


class _State(NamedTuple):
    """What is asked of an account before each message; the owners are of the domains of its two mailboxes here."""

    enabled: bool
    revision: int
    lease_holder: str | None
    lease_until: datetime | None
    user_id: int
    email: str
    deliver_to: str
    role: str
    owner_of_own: int | None
    owner_of_named: int | None


_STATE = Question(
    select(
        Row.enabled,
        Row.revision,
        Row.lease_holder,
        Row.lease_until,
        Row.user_id,
        Row.email,
        Row.deliver_to,
        PanelUser.role,
        accounts.owner_of(Row.email).label("owner_of_own"),
        accounts.owner_of(Row.deliver_to).label("owner_of_named"),
    )
    .join(PanelUser, PanelUser.id == Row.user_id)
    .where(Row.id == bindparam("which")),
    _State._make,
)
_UNCHANGED = update(Row).where(
    Row.id == bindparam("which"), Row.revision == bindparam("seen"), Row.lease_holder == bindparam("holder")
)
_RELEASE = (
    update(Row)
    .where(Row.id == bindparam("which"), Row.lease_holder == bindparam("holder"))
    .values(lease_holder=None, lease_until=None)
)
_ENABLED = select(Row.id, Row.revision).where(Row.enabled == ON)
_WAKE = (
    update(Row)
    .where(Row.id == bindparam("which"), Row.quota_error == OFF, Row.next_visit_at > bindparam("now"))
    .values(next_visit_at=bindparam("now"))
)
_RECORDED = Change(
    update(Row)
    .where(Row.id == bindparam("which"))
    .values(
        collected=Row.collected + bindparam("more", type_=sa.Integer),
        # A message that was accepted is the end of a full mailbox.
        quota_error=sa.case((bindparam("more", type_=sa.Integer) > 0, OFF), else_=Row.quota_error),
        lease_until=sa.case((Row.lease_holder == bindparam("holder"), bindparam("until", type_=Instant)),
                            else_=Row.lease_until),
    )
)  # fmt: skip


class Over(Exception):
    """The visit ends here. ``reason`` goes on record, None when all is well; ``again`` at once or after the pause."""

    def __init__(self, reason: str | None, *, again: timedelta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


@dataclass(frozen=True, slots=True)
class Visitor:
    """What all visits of a worker have in common.

    ``holder`` is its name as a holder of leases; ``handover`` opens a line to the local mail server; ``stopping`` is
    asked before each message.
    """

    ports: Ports
    holder: str
    handover: Callable[[], Handover]
    clock: Callable[[], datetime]
    stopping: Callable[[], bool] = lambda: False

    def visit(self, row: Found, session: Session | None = None) -> Session | None:
        """Visit the account of ``row``, which is leased to us, over ``session`` if one was kept.

        Whatever happens goes on record. Gives the session back if it can be used again.
        """
        return _Visit(self, row, session).run()


class _Visit:
    def __init__(self, visitor: Visitor, row: Found, session: Session | None) -> None:
        self._visitor, self._ports = visitor, visitor.ports
        self._row = row
        self._session = session
        self._account = accounts.stored(row)
        self._begun = visitor.clock()
        self._mark = ""
        self._logged_in = False

    def run(self) -> Session | None:
        """Visit it."""
        end = Over(None)
        try:
            end = self._visited()
        except Over as over:
            end = over
        except Failure as failure:
            self._drop()
            end = self._failed_login(failure) if failure.refused_login else Over(failure.reason)
        except CannotOpen as error:
            log.error("account %s: %s", self._row.id, error)
            end = Over("the stored password does not open with the key file")
        except Exception:
            self._drop()
            log.exception("the visit of account %s failed", self._row.id)
            end = Over("an internal error: the log has more about it")
        self._finish(end)
        return self._session

    def _visited(self) -> Over:
        target = self._target()
        incoming = self._account.servers.incoming
        if self._is_itself(target):
            raise Over(ITSELF)
        mailbox = self._open()
        with self._ports.store.reading() as unit:
            self._mark = f"{installation_id.uuid_of(unit)}; account={self._row.id}"
        handover = self._visitor.handover()
        count = 0
        candidates = mailbox.candidates()
        try:
            for candidate in candidates:
                try:
                    self._collect(mailbox, handover, candidate)
                finally:
                    if candidate.spool is not None:
                        candidate.spool.close()
                count += 1
                if count >= MOST:
                    return Over(None, again=timedelta(0))
        except Failure as failure:
            raise Over(self._lost(failure)) from None
        except Withheld as withheld:
            raise Over(str(withheld)) from None
        finally:
            candidates.close()  # type: ignore[attr-defined]
            handover.close()
            if incoming.protocol != IMAP:
                self._drop(politely=True)
        return Over(None)

    def _open(self) -> ImapMailbox | Pop3Mailbox:
        """The mailbox, over the session that was kept if that still works. Raises Failure."""
        if isinstance(self._session, ImapSession):
            try:
                return self._mailbox(self._session)
            except Failure:
                self._drop()
        incoming = self._account.servers.incoming
        purpose = accounts.seal_purpose(self._row.user_id, self._row.email, accounts.INCOMING)
        password = self._ports.seals.open(purpose, self._row.password).decode()
        self._session = probe.incoming_session(login_checks.links_of(self._ports), incoming, password)
        self._logged_in = True
        try:
            return self._mailbox(self._session)
        except Failure as failure:
            raise Over(self._lost(failure)) from None

    def _mailbox(self, session: Session) -> ImapMailbox | Pop3Mailbox:
        incoming = self._account.servers.incoming
        names = (incoming.protocol, incoming.host.lower(), incoming.login)
        if isinstance(session, ImapSession):
            return ImapMailbox(self._ports, session, self._row.id, names, self._row.begin_at)
        return Pop3Mailbox(self._ports, session, self._row.id, names, self._row.begin_at)

    def _collect(self, mailbox: ImapMailbox | Pop3Mailbox, handover: Handover, candidate: Candidate) -> None:
        outcome = remembered_mail.TOO_LARGE
        if candidate.spool is None:
            log.warning("account %s: a message is too large to be collected", self._row.id)
            self._still_wanted()
        else:
            outcome = self._delivered(mailbox, handover, candidate, candidate.spool)
        with self._ports.store.writing(RECORDING_SECONDS) as unit:
            self._record(unit, mailbox, candidate, outcome)

    def _delivered(
        self, mailbox: ImapMailbox | Pop3Mailbox, handover: Handover, candidate: Candidate, spool: Spool
    ) -> str:
        if self._carries_our_mark(spool):
            self._still_wanted()
            return remembered_mail.OWN
        same = remembered_mail.same_content(self._ports, self._row.id, spool.digest)
        if any(not mailbox.is_there(message) for message in same):
            self._still_wanted()
            return remembered_mail.KNOWN
        target = self._still_wanted()
        line = f"{MARK}: {self._mark}; key={candidate.key.hex()[:16]}\r\n".encode()
        try:
            handover.deliver(target, len(line) + spool.size, chain((line,), spool.chunks()))
        except MailboxFull as full:
            raise Over(str(full), again=FULL_PAUSE) from None
        except NotNow as failure:
            raise Over(str(failure)) from None
        except Refused as refusal:
            # Not if it was refused because there is no such mailbox any more.
            self._still_wanted()
            log.warning("account %s: the local mail server refused a message: %s", self._row.id, refusal)
            return remembered_mail.REFUSED
        return remembered_mail.DELIVERED

    def _carries_our_mark(self, spool: Spool) -> bool:
        if not spool.may_have(MARK):
            return False
        marks = spool.head().get_all(MARK, [])
        return any(f"{' '.join(str(mark).split())};".startswith(f"{self._mark};") for mark in marks)

    def _record(self, unit: Connection, mailbox: ImapMailbox | Pop3Mailbox, candidate: Candidate, outcome: str) -> None:
        more, until = int(outcome == remembered_mail.DELIVERED), self._visitor.clock() + leases.PERIOD
        if not _RECORDED.make(unit, more=more, until=until, **self._we):
            raise Over(CHANGED)
        remembered_mail.record(
            unit,
            mailbox.source,
            candidate.key,
            outcome=outcome,
            uid=candidate.uid,
            content=candidate.spool.digest if candidate.spool is not None else None,
            begin=self._row.begin_at,
        )

    def _still_wanted(self) -> str:
        """The address to deliver to. Raises Over if the next message must not be handed in by us."""
        if self._visitor.stopping():
            raise Over(self._row.last_error, again=timedelta(0))
        return self._target()

    def _target(self) -> str:
        with self._ports.store.reading() as unit:
            rows = _STATE.ask(unit, which=self._row.id)
        if not rows or not rows[0].enabled or rows[0].revision != self._row.revision:
            raise Over(CHANGED)
        row = rows[0]
        if not leases.is_held(row, self._visitor.holder, self._visitor.clock()):
            raise Over(CHANGED)
        for address, owner in ((row.email, row.owner_of_own), (row.deliver_to, row.owner_of_named)):
            if accounts.is_filled_by(owner, user_id=row.user_id, is_root=row.role == ROOT):
                return str(address)
        raise Over(NO_MAILBOX)

    def _is_itself(self, target: str) -> bool:
        incoming = self._account.servers.incoming
        if incoming.port not in OWN_PORTS or incoming.login.lower() != target:
            return False
        try:
            found = self._ports.targets.resolve(incoming.host, incoming.port, self._ports.settings.connect_timeout)
        except Exception:
            # The login will tell its user what is wrong with the name.
            return False
        return any(is_this_machine(address) for address in found)

    def _lost(self, failure: Failure) -> str:
        self._drop()
        return failure.reason

    def _drop(self, *, politely: bool = False) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if politely:
            session.close()
        else:
            session.abandon()

    def _failed_login(self, failure: Failure) -> Over:
        moment = self._visitor.clock()
        since = self._row.failing_since or moment
        lasted = moment - since
        values: dict[str, Any] = {"failing_since": since, "auth_error": lasted > AUTH_ERROR_AFTER}
        if lasted > DISABLED_AFTER:
            log.warning("account %s is switched off: its login has failed for three days", self._row.id)
            values["enabled"] = False
        with self._ports.store.writing() as unit:
            unit.execute(_UNCHANGED.values(**values), self._we | {"seen": self._row.revision})
        return Over(failure.reason)

    def _finish(self, end: Over) -> None:
        moment = self._visitor.clock()
        pause = timedelta(seconds=self._ports.settings.collect_interval) if end.again is None else end.again
        values: dict[str, Any] = {
            "lease_holder": None,
            "lease_until": None,
            "visited_at": moment,
            "last_error": end.reason,
            "next_visit_at": max(self._begun + pause, moment),
        }
        if end.again == FULL_PAUSE:
            values |= {"quota_error": True, "next_visit_at": moment + FULL_PAUSE}
        if self._logged_in or self._session is not None:
            values |= {"failing_since": None, "auth_error": False}
        with self._ports.store.writing() as unit:
            # What its owner changed meanwhile wants a visit of its own, soon.
            if not unit.execute(_UNCHANGED.values(**values), self._we | {"seen": self._row.revision}).rowcount:
                self._drop()
                unit.execute(_RELEASE, self._we)

    @property
    def _we(self) -> dict[str, Any]:
        return {"which": self._row.id, "holder": self._visitor.holder}


def revisions(ports: Ports) -> dict[int, int]:
    """The accounts whose mail is collected, by number, with their revisions."""
    with ports.store.reading() as unit:
        return {row.id: row.revision for row in unit.execute(_ENABLED)}


def wake(ports: Ports, account: int, moment: datetime) -> None:
    """There is news: let the account be visited now, unless its mailbox is full."""
    with ports.store.writing() as unit:
        unit.execute(_WAKE, {"which": account, "now": moment})
