"""Going through a foreign mailbox for what has not been collected yet, IMAP by UID and POP3 by unique id.

Only what is new is looked at: of an IMAP folder what has a UID above the last one seen, of a POP3 mailbox, whose
numbers mean nothing the next time, what has an unknown id.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailsvc.core.mail_accounts import EVERYTHING, MOST_BYTES
from mailsvc.courier.imap import CHUNK, ImapSession, Listed
from mailsvc.courier.pop3 import Pop3Session
from mailsvc.courier.spool import Spool, TooLarge, date_of, header, received_at
from mailsvc.services import remembered_mail
from mailsvc.services.ports import Ports
from mailsvc.services.remembered_mail import Remembered

log = logging.getLogger("mailsvc.collection")

WINDOW = 50_000
"""UIDs that are searched at once: the answer has at most a line of half a megabyte."""

LISTED = 250
"""Messages whose size and date are asked for at once."""

SMALL = 262_144
MOST_TOGETHER = 100
"""Messages up to SMALL bytes are fetched several at once: so many, and no more bytes than CHUNK, as of a large one.

They too must arrive within the time limit of a command.
"""

MOST_WITHHELD = 10
"""A server that does not give so many of its messages is not asked for more in this visit."""

OLD_TOGETHER = 500
"""Old messages of a POP3 mailbox that are put on record at once."""


class Withheld(Exception):
    """One line about the first message that the server has and does not give. The line to it is as good as before."""


@dataclass(slots=True)
class Candidate:
    """A message that is not remembered yet. ``spool`` is None when it is too large to be fetched."""

    key: bytes
    uid: int | None
    spool: Spool | None


class ImapMailbox:
    """INBOX of an IMAP account."""

    def __init__(self, ports: Ports, session: ImapSession, account: int, names: Sequence[str], begin: datetime) -> None:
        self._ports, self._session, self._begin = ports, session, begin
        folder = session.examine()
        self._next_uid = folder.next_uid
        self._withheld: list[int] = []
        self.source = remembered_mail.source_of(ports, account, *names, str(folder.uid_validity))

    def candidates(self) -> Iterator[Candidate]:
        """What is to be collected, in the order of UIDs; each must be recorded before the next is asked for.

        Raises Withheld after the last one when the server has messages that it does not give. They are asked for again
        in every visit, and hold up no others.
        """
        source = self.source
        if source.scanned_begin is not None and self._begin < source.scanned_begin:
            remembered_mail.scan_again(self._ports, source)
        known = remembered_mail.uids_beyond(self._ports, source)
        for uids in self._windows(source.scanned_uid + 1):
            for start in range(0, len(uids), LISTED):
                chunk = uids[start : start + LISTED]
                yield from self._new([uid for uid in chunk if uid not in known])
                remembered_mail.scanned(self._ports, source, chunk[-1], self._begin)
        _complain(self._withheld, 1)

    def is_there(self, message: Remembered) -> bool:
        """Whether a remembered message still is in this folder."""
        if message.source_id != self.source.id or message.uid is None:
            return False
        return self._session.search(message.uid, message.uid) != []

    def _windows(self, first: int) -> Iterator[list[int]]:
        if self._next_uid is None:
            yield self._session.search(first, None)
            return
        width = WINDOW
        while first < self._next_uid:
            last = min(first + width, self._next_uid) - 1
            found = self._session.search(first, last)
            yield found
            # Where few messages are left of many the numbers are far apart.
            width = WINDOW if found else width * 4
            first = last + 1

    def _new(self, uids: Sequence[int]) -> Iterator[Candidate]:
        if not uids:
            return
        restricted = self._begin != EVERYTHING
        listed = self._session.listed(uids, with_date=restricted)
        self._miss(sorted(set(uids).difference(row.uid for row in listed)))
        wanted = [row for row in listed if not self._is_old(row, restricted)]
        for together in _batches(wanted):
            yield from self._fetched(together)

    def _is_old(self, row: Listed, restricted: bool) -> bool:
        if not restricted:
            return False
        dated = date_of(header(row.date)) or received_at(row.received)
        return dated is not None and dated < self._begin

    def _fetched(self, rows: Sequence[Listed]) -> Iterator[Candidate]:
        if len(rows) == 1 and rows[0].size > SMALL:
            yield from self._large(rows[0])
            return
        bodies = self._session.small([row.uid for row in rows])
        for row in rows:
            if row.uid in bodies:
                yield self._candidate(row.uid, Spool([bodies.pop(row.uid)], MOST_BYTES))
            else:
                # It may have been another one that the server could not give.
                yield from self._large(row)

    def _large(self, row: Listed) -> Iterator[Candidate]:
        spool = None
        if row.size <= MOST_BYTES:
            try:
                spool = Spool(self._session.large(row.uid), MOST_BYTES)
            except TooLarge:
                spool = None
            else:
                if not spool.size:
                    spool.close()
                    if row.size:
                        self._miss([row.uid])
                    return
        yield self._candidate(row.uid, spool)

    def _miss(self, uids: Sequence[int]) -> None:
        """The server did not give these messages, ascending. They are waited for, unless they are gone meanwhile."""
        if not uids:
            return
        there = self._session.search(uids[0], uids[-1])
        self._withheld += sorted(set(uids).intersection(there))
        if self._withheld:
            self.source.wait_for(min(self._withheld))
            _complain(self._withheld, MOST_WITHHELD)

    def _candidate(self, uid: int, spool: Spool | None) -> Candidate:
        return Candidate(self.source.key_of(str(uid)), uid, spool)


def _complain(withheld: Sequence[int], least: int) -> None:
    """Raises Withheld if there are ``least`` messages, by UID or number, that the server has and does not give."""
    if len(withheld) >= least:
        raise Withheld(f"The server has message {min(withheld)} and does not give it.")


def _batches(rows: Sequence[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    total = 0
    for row in rows:
        if batch and (row.size > SMALL or total + row.size > CHUNK or len(batch) >= MOST_TOGETHER):
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += row.size
        if row.size > SMALL:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


class Pop3Mailbox:
    """All messages of a POP3 account."""

    def __init__(self, ports: Ports, session: Pop3Session, account: int, names: Sequence[str], begin: datetime) -> None:
        self._ports, self._session, self._begin = ports, session, begin
        self.source = remembered_mail.source_of(ports, account, *names)
        self._sizes = session.sizes()
        ids = session.ids()
        self._named = ids is not None
        self._ids = {number: self._key(name) for number, name in (ids or {}).items()}
        self._here = set(self._ids.values())
        self._old: list[tuple[bytes, datetime]] = []
        self._withheld: list[int] = []

    def candidates(self) -> Iterator[Candidate]:
        """What is to be collected, in the order of numbers; each must be recorded before the next is asked for.

        Raises Withheld as ImapMailbox does.
        """
        known = remembered_mail.keys(self._ports, self.source, self._begin)
        find: Callable[[int, set[bytes]], Candidate | None] = self._by_id if self._named else self._by_content
        try:
            for number in sorted(self._sizes):
                candidate = find(number, known)
                if candidate is not None:
                    known.add(candidate.key)
                    yield candidate
            _complain(self._withheld, 1)
        finally:
            self._flush(1)

    def is_there(self, message: Remembered) -> bool:
        """Whether a remembered message still is in this mailbox."""
        return message.source_id == self.source.id and message.key in self._here

    def _by_id(self, number: int, known: set[bytes]) -> Candidate | None:
        key = self._ids.get(number)
        if key is None:
            return self._by_content(number, known)
        if key in known:
            return None
        if self._sizes[number] > MOST_BYTES:
            return Candidate(key, None, None)
        restricted = self._begin != EVERYTHING
        head = self._session.head(number) if restricted else None
        if head is not None and self._is_old(key, date_of(header(head))):
            return None
        try:
            spool = self._fetched(number)
        except TooLarge:
            return Candidate(key, None, None)
        if spool is None:
            return None
        if restricted and head is None and self._is_old(key, date_of(spool.head())):
            spool.close()
            return None
        return Candidate(key, None, spool)

    def _by_content(self, number: int, known: set[bytes]) -> Candidate | None:
        """Nothing names the message, so it must be fetched to be known again."""
        if self._sizes[number] > MOST_BYTES:
            key = self._key(f"size {self._sizes[number]}".encode())
            return None if key in known else Candidate(key, None, None)
        spool = self._fetched(number)
        if spool is None:
            return None
        key = self._key(spool.digest.hex().encode())
        self._here.add(key)
        dated = date_of(spool.head()) if self._begin != EVERYTHING else None
        if key in known or (dated is not None and dated < self._begin):
            spool.close()
            return None
        return Candidate(key, None, spool)

    def _fetched(self, number: int) -> Spool | None:
        """The message; None when the server does not give it. Raises TooLarge."""
        spool = Spool(self._session.message(number), MOST_BYTES)
        if spool.size or not self._sizes[number]:
            return spool
        spool.close()
        self._withheld.append(number)
        _complain(self._withheld, MOST_WITHHELD)
        return None

    def _key(self, name: bytes) -> bytes:
        return self.source.key_of(name.decode("utf-8", "surrogateescape"))

    def _is_old(self, key: bytes, dated: datetime | None) -> bool:
        if dated is None or dated >= self._begin:
            return False
        self._old.append((key, dated))
        self._flush(OLD_TOGETHER)
        return True

    def _flush(self, least: int) -> None:
        if len(self._old) >= least:
            remembered_mail.record_old(self._ports, self.source, self._old)
            self._old.clear()
