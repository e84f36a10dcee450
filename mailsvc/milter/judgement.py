"""The verdict on a message. First what its author may write, then whether there is room, and last the signatures.

Who authenticated may write in his own name only: From must name addresses that the login owns, each of them, and so
must Sender, which says who really sent it (RFC 5322, section 3.6.2). Reply-To may name anybody, and so may the Resent-
headers, which hold the whole history of a message that was passed on. Signatures that a message brings are left: those
that do not verify count for nothing (RFC 6376, section 6.1), and those that do are somebody's who had the key.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from mailsvc.core.addresses import Address
from mailsvc.core.authors import Unclear, authors
from mailsvc.milter import quota_status, results
from mailsvc.milter.messages import Message, Verdict
from mailsvc.milter.signatures import Key, signature
from mailsvc.services import delivery, signing
from mailsvc.services.delivery import Destination
from mailsvc.services.ports import Ports
from mailsvc.services.signing import SealedKey
from mailsvc.vault.seals import CannotOpen

log = logging.getLogger("mailsvc.milter")

TRACE_BYTES = 2048
"""What is still to be added to a message before it is stored: Received, Return-Path, Delivered-To, signatures."""

LATER = "451 4.7.1 This message cannot be checked and signed just now, please try again later"
NO_ROOM = "552 5.2.2 <{}>: the mailbox has no room for this message"
NOBODY = "550 5.1.1 <{}>: nobody receives what is sent to this address"
ALONE = "452 4.5.3 Please send to this recipient separately"


class _Refused(Exception):
    """The message is not accepted: the reply to the SMTP client, and why in a word or two for the log."""

    def __init__(self, reply: str, reason: str) -> None:
        super().__init__(reply)
        self.reply, self.reason = reply, reason


class Judge:
    """Gives verdicts, for many connections at once. None of its methods raises anything."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        # No more at a time than the store keeps connections for.
        self._gate = threading.BoundedSemaphore(ports.settings.threads)

    def recipient(self, message: Message, recipient: str) -> str | None:
        """The reply that refuses a recipient of ``message``; None takes it.

        Refused is who leads to nobody, though Postfix knows him: a forward, say, to a mailbox that was removed.

        Mail from elsewhere often goes to many at once. The verdict at its end is for all of them, and a full mailbox
        that a forward leads to shall not keep it from the others. So whoever is known to have no room is refused when
        he is named; if that is the first one, whose refusal comes at the end of DATA, the others are to be sent to
        separately (RFC 5321, section 4.5.3.1.10).
        """
        try:
            if self._leads_nowhere(recipient):
                return NOBODY.format(recipient)
            if message.login is not None or not message.recipients:
                return None
            if message.first_has_room is None:
                message.first_has_room = self._has_room(message, message.recipients[0])
            if not message.first_has_room:
                return ALONE
            return None if self._has_room(message, recipient) else NO_ROOM.format(recipient)
        except Exception as error:
            log.error("unexpected failure", exc_info=error)
            return None

    def verdict(self, message: Message) -> Verdict:
        """What becomes of ``message``; one log line says so.

        When something is broken, who authenticated is asked to come again, since his mail shall not go out unchecked
        or unsigned; other mail passes, since delivery asks about the quota again.
        """
        begun = time.monotonic()
        facts: dict[str, object] = {
            "queue_id": message.queue_id,
            "login": message.login,
            "bytes": message.size,
            "recipients": len(message.recipients),
        }
        try:
            verdict = self._considered(message, facts)
            outcome = "signed" if verdict.signatures else "passed"
        except _Refused as refusal:
            verdict, outcome = Verdict(refusal.reply), refusal.reply[:9]
            facts["reason"] = refusal.reason
        except Exception as error:
            log.error("unexpected failure", exc_info=error)
            verdict, outcome = Verdict(None if message.login is None else LATER), "failed"
        facts |= {"verdict": outcome, "milliseconds": round((time.monotonic() - begun) * 1000, 1)}
        log.info("message", extra={"facts": facts})
        return verdict

    def _considered(self, message: Message, facts: dict[str, object]) -> Verdict:
        forged = tuple(results.forged(message.headers, self._ports.settings.hostname))
        named = _named(message)
        domains = sorted({address.domain for address in named.get("From", ())})
        if domains:
            facts["from_domain"] = ",".join(domains)
        with self._reading() as unit:
            foreign = _foreign(unit, message.login, named)
            reached = {one: delivery.destinations(unit, one) for one in message.recipients}
            sealed = [key for domain in domains for key in signing.keys(unit, domain)]
        if foreign is not None:
            raise foreign
        self._refuse_full(message, reached, facts)
        signatures = self._signatures(message, sealed)
        if signatures:
            facts["selectors"] = ",".join(f"{key.selector}/{key.algorithm}" for key in sealed)
        return Verdict(None, signatures, forged)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._gate, self._ports.store.reading() as unit:
            yield unit

    def _leads_nowhere(self, recipient: str) -> bool:
        with self._reading() as unit:
            return delivery.leads_nowhere(unit, recipient)

    def _has_room(self, message: Message, recipient: str) -> bool:
        """Whether all that ``recipient`` leads to has room for a message of the announced size, as far as is known."""
        with self._reading() as unit:
            boxes = delivery.destinations(unit, recipient)
        return not self._room(boxes, message.announced).full

    def _room(self, boxes: Iterable[Destination], size: int) -> quota_status.Room:
        service = self._ports.settings.quota_status
        limited = sorted({box.address for box in boxes if box.quota_bytes})
        if service is None or not limited:
            return quota_status.Room([])
        return quota_status.room(service, limited, size + TRACE_BYTES)

    def _refuse_full(
        self, message: Message, reached: Mapping[str, Sequence[Destination]], facts: dict[str, object]
    ) -> None:
        room = self._room((box for boxes in reached.values() for box in boxes), message.size)
        for recipient, boxes in reached.items():
            if any(box.address in room.full for box in boxes):
                # Whose mailbox a forward leads to is not the sender's business.
                raise _Refused(NO_ROOM.format(recipient), "no room")
        if room.unknown is not None:
            log.warning("quota unknown: %s", room.unknown, extra={"facts": {"queue_id": message.queue_id}})
            facts["quota"] = "unknown"

    def _signatures(self, message: Message, sealed: Sequence[SealedKey]) -> Sequence[bytes]:
        if not sealed:
            return ()
        try:
            keys = [Key(one.domain, one.selector, one.algorithm, one.opened(self._ports)) for one in sealed]
            body = message.body.finished()
            return [signature(message.headers, body, key) for key in keys]
        except (CannotOpen, ValueError) as error:
            # What should be signed is never sent without.
            log.error("cannot sign: %s", error, extra={"facts": {"queue_id": message.queue_id}})
            raise _Refused(LATER, "cannot sign") from None


def _named(message: Message) -> Mapping[str, Sequence[Address]]:
    """Whom From and Sender of authenticated mail name; nothing of other mail."""
    if message.login is None:
        return {}
    if message.is_cut:
        raise _Refused("550 5.7.1 The headers of this message are too long", "long headers")
    # Some programs end a line there, and would see another header behind it.
    if any(b"\r" in value for _, value in message.headers):
        raise _Refused("550 5.7.1 The headers of this message hold a carriage return that ends no line", "bare CR")
    found = {"From": _addresses(message, "From", at_least=1), "Sender": _addresses(message, "Sender", at_least=0)}
    if len(found["Sender"]) > 1:
        raise _Refused("550 5.7.1 The Sender header names more than one address", "unclear Sender")
    return found


def _addresses(message: Message, header: str, *, at_least: int) -> Sequence[Address]:
    values = [value for name, value in message.headers if name.strip().lower() == header.lower().encode()]
    if len(values) > 1:
        raise _Refused(f"550 5.7.1 The message has more than one {header} header", f"several {header}")
    if len(values) < at_least:
        raise _Refused(f"550 5.7.1 The message has no {header} header", f"no {header}")
    try:
        return [address for value in values for address in authors(value)]
    except Unclear as unclear:
        raise _Refused(f"550 5.7.1 The {header} header {unclear}", f"unclear {header}") from None


def _foreign(unit: Connection, login: str | None, named: Mapping[str, Sequence[Address]]) -> _Refused | None:
    """What refuses the first address that ``login`` does not own, or None."""
    for header, addresses in named.items():
        for address in addresses:
            if login is not None and not signing.may_write_as(unit, login, address):
                words = f"550 5.7.1 The {header} header names {address}, which this login may not send as"
                return _Refused(words, f"foreign {header}")
    return None
