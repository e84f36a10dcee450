"""Publishing through dynamic updates (RFC 2136) over TCP, signed with a TSIG key (RFC 8945).

Nothing is ever deleted but our own record. The name server knows no owners, so *ours* is the TXT record whose whole
text is the one we were given; a record with another text is foreign, also when mailsvc made it. Whoever changes a text
withdraws the old record before publishing the new one.

Foreign TXT records stay beside ours, unless that would void both: two SPF records are an error for every receiver
(RFC 7208, section 3.2), and so is a second TXT record of any kind at the name of a DKIM key (RFC 6376, section
3.6.2.2). Then the change is refused. Prerequisites in the update (RFC 2136, section 2.4) make look and change one step,
whoever else is writing.

All exchanges of one change share one connection and one deadline. Queries are signed like updates, because a hidden
primary may answer nobody else; an answer without a valid signature counts as none.
"""

import queue
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed
from mailsvc.dns import TIME_LIMIT

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.rcode
    import dns.rdtypes.ANY.TXT
    import dns.rrset
    import dns.tsig

ATTEMPTS = 5
"""How often to look again when somebody else changed the same name between our look and our update."""

_UNSIGNED = "the answer of the name server is malformed or not signed: it may not know the zone or the key"


class _PublishError(Exception):
    """What stands in the way of the change, in clear words."""


class DynamicUpdates:
    """A Publisher that sends each change to the primary name server. Nothing is kept open between two changes."""

    def __init__(self, settings: config.Settings, time_limit: float = TIME_LIMIT) -> None:
        """``settings`` name the server and the TSIG key; ``time_limit`` is in seconds, for one change in all.

        Raises ConfigError when a setting that ``dns=rfc2136`` needs is missing.
        """
        server, name, secret = settings.rfc2136_server, settings.rfc2136_key_name, settings.rfc2136_key_secret
        if server is None or name is None or secret is None:
            raise config.ConfigError(f"{config.PREFIX}DNS=rfc2136 needs a server, a key name and a key secret")
        self._server = server
        self._key = (name, secret, settings.rfc2136_key_algorithm)
        self._time_limit = time_limit

    def publish(self, record: TxtRecord) -> None:
        """Add ``record`` to the TXT records of its name, unless it is there already.

        Returns once the server has acknowledged it. Raises PublishFailed when it did not, when a foreign record would
        void ours, and when the name is an alias or delegated (the record would be stored, if at all, but never seen).
        """
        with self._exchange(record) as exchange:
            zone, hidden = exchange.zone_of(record.name)
            if hidden:
                raise _PublishError(hidden)
            if not any(_added(exchange, zone, record) for _ in range(ATTEMPTS)):
                raise _PublishError("the TXT records of this name keep being changed by somebody else")

    def withdraw(self, record: TxtRecord) -> None:
        """Delete exactly ``record``, however its text is cut into strings.

        Returns once the server has acknowledged it, also when there was nothing to delete. Raises PublishFailed when
        the server did not acknowledge it.
        """
        with self._exchange(record) as exchange:
            zone, _ = exchange.zone_of(record.name)
            found = _txt(exchange.ask(_name(record.name), "TXT"), record.name) or ()
            ours = [rdata for rdata in found if _text(rdata) == record.value.encode()]
            exchange.delete(zone, record.name, [*ours, _rdata(record)])

    @contextmanager
    def _exchange(self, record: TxtRecord) -> Iterator["_Exchange"]:
        """A connection to the server. Whatever goes wrong with it leaves here as PublishFailed."""
        import dns.exception
        import dns.tsig

        expires = time.monotonic() + self._time_limit
        try:
            with _connection(self._server, expires) as connection:
                yield _Exchange(connection, dns.tsig.Key(*self._key), expires)
        except (_PublishError, dns.exception.DNSException, OSError, EOFError) as error:
            raise PublishFailed(name=record.name, reason=_reason(error)) from error


def _added(exchange: "_Exchange", zone: "dns.name.Name", record: TxtRecord) -> bool:
    """Whether ``record`` is published now. False: somebody changed the name meanwhile. Raises _PublishError.

    The first step asks for a name without TXT records. A look could not tell: what it sees may be a wildcard's
    (RFC 4592), which cannot clash with ours because ours takes its place.
    """
    if exchange.add(zone, record, beside=None):
        return True
    reply = exchange.ask(_name(record.name), "TXT")
    found = _txt(reply, record.name)
    if found is None:
        if _has(reply, "CNAME"):
            raise _PublishError("the name is an alias (CNAME), which cannot have a TXT record")
        return False
    texts = [_text(rdata) for rdata in found]
    _refuse_clash(record.value.encode(), texts)
    return record.value.encode() in texts or exchange.add(zone, record, beside=found)


def _refuse_clash(ours: bytes, texts: Iterable[bytes]) -> None:
    foreign = [text for text in texts if text != ours]
    if foreign and ours.startswith(b"v=DKIM1"):
        raise _PublishError("there is another TXT record at the name of this DKIM key, and two would void both")
    if _is_spf(ours) and any(map(_is_spf, foreign)):
        raise _PublishError("there is another SPF record at this name, and two would void both")


def _is_spf(text: bytes) -> bool:
    """RFC 7208, section 4.5: the version is followed by a blank or by nothing."""
    return text.lower().split(b" ", 1)[0] == b"v=spf1"


class _Exchange:
    """Signed questions and updates on one connection, until ``expires`` (``time.monotonic()``)."""

    def __init__(self, connection: socket.socket, key: "dns.tsig.Key", expires: float) -> None:
        self._connection = connection
        self._key = key
        self._expires = expires

    def zone_of(self, name: str) -> tuple["dns.name.Name", str]:
        """The zone on this server that holds ``name`` and, unless empty, why a new record there would not be seen.

        Asked for the SOA of any name, a server answers with authority and adds the SOA of the name's zone (RFC 2308,
        section 3). Only when an alias or a delegation comes in between, the parents have to be asked.
        """
        import dns.name

        asked, hidden = _name(name), ""
        while asked != dns.name.root:
            reply = self.ask(asked, "SOA")
            zone = _soa_owner(reply, asked)
            if zone is not None:
                return zone, hidden
            hidden = hidden or _why_hidden(reply)
            asked = asked.parent()
        raise _PublishError("the name server is not authoritative for this name")

    def ask(self, name: "dns.name.Name", rdtype: str) -> "dns.message.Message":
        """The server's own data (no recursion) for ``name``. Raises _PublishError, DNSException, OSError, EOFError."""
        import dns.message
        import dns.rcode

        question = dns.message.make_query(name, rdtype, flags=0)
        question.use_tsig(self._key)
        return self._sent(question, {dns.rcode.NOERROR, dns.rcode.NXDOMAIN})

    def add(self, zone: "dns.name.Name", record: TxtRecord, *, beside: "dns.rrset.RRset | None") -> bool:
        """Add ``record`` if the TXT records of its name are exactly ``beside``, and say whether they were.

        An RRset has one TTL (RFC 2181, section 5.2): beside foreign records ours takes theirs. A CNAME is excluded
        expressly, because beside one the server drops the addition without a word (RFC 2136, section 3.4.2.2).
        """
        import dns.rcode
        import dns.update

        update = dns.update.UpdateMessage(zone, keyring=self._key)
        name = _name(record.name)
        update.absent(name, "CNAME")
        if beside is None:
            update.absent(name, "TXT")
        else:
            update.present(name, *beside)
        update.add(name, record.ttl if beside is None else beside.ttl, _rdata(record))
        unmet = {dns.rcode.YXRRSET, dns.rcode.NXRRSET}
        return self._sent(update, {dns.rcode.NOERROR, *unmet}).rcode() not in unmet

    def delete(self, zone: "dns.name.Name", name: str, rdatas: Iterable["dns.rdtypes.ANY.TXT.TXT"]) -> None:
        """Delete exactly these records; absent ones are passed over (RFC 2136, section 2.5.4)."""
        import dns.rcode
        import dns.update

        update = dns.update.UpdateMessage(zone, keyring=self._key)
        for rdata in rdatas:
            update.delete(_name(name), rdata)
        self._sent(update, {dns.rcode.NOERROR})

    def _sent(self, message: "dns.message.Message", expected: set["dns.rcode.Rcode"]) -> "dns.message.Message":
        import dns.query
        import dns.rcode

        reply = dns.query.tcp(message, "", _seconds_left(self._expires), sock=self._connection)
        if not reply.had_tsig:
            raise _PublishError(_UNSIGNED)
        if reply.rcode() not in expected:
            raise _PublishError(f"the name server answers {dns.rcode.to_text(reply.rcode())}")
        return reply


def _soa_owner(reply: "dns.message.Message", asked: "dns.name.Name") -> "dns.name.Name | None":
    """The zone of ``asked``; None when the reply is a referral, or about the target of an alias."""
    import dns.flags
    import dns.rdatatype

    if not reply.flags & dns.flags.AA or _has(reply, "CNAME"):
        return None
    owners = (rrset.name for rrset in reply.answer + reply.authority if rrset.rdtype == dns.rdatatype.SOA)
    return next((owner for owner in owners if asked.is_subdomain(owner)), None)


def _why_hidden(reply: "dns.message.Message") -> str:
    """A CNAME alone hides nothing: it may be a wildcard's, whose place a record of the name takes."""
    if _has(reply, "DNAME"):
        return "the name lies below an alias (DNAME), where no record is seen (RFC 6672, section 2.4)"
    if not _has(reply, "CNAME"):
        return "the name is delegated to other name servers"
    return ""


def _has(reply: "dns.message.Message", rdtype: str) -> bool:
    import dns.rdatatype

    return any(rrset.rdtype == dns.rdatatype.from_text(rdtype) for rrset in reply.answer)


def _txt(reply: "dns.message.Message", name: str) -> "dns.rrset.RRset | None":
    import dns.rdataclass
    import dns.rdatatype

    return reply.get_rrset(reply.answer, _name(name), dns.rdataclass.IN, dns.rdatatype.TXT)


def _name(text: str) -> "dns.name.Name":
    import dns.name

    return dns.name.from_text(text)


def _rdata(record: TxtRecord) -> "dns.rdtypes.ANY.TXT.TXT":
    import dns.rdataclass
    import dns.rdatatype
    from dns.rdtypes.ANY.TXT import TXT

    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, record.strings)


def _text(rdata: Any) -> bytes:
    """The whole text: its strings are joined without a blank (RFC 7208, section 3.3; RFC 6376, section 3.6.2.2)."""
    return b"".join(rdata.strings)


def _seconds_left(expires: float) -> float:
    left = expires - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connection(server: config.TcpAddress, expires: float) -> socket.socket:
    """Connected to the first address of ``server`` that takes it, non-blocking (dnspython wants it). Raises OSError."""
    addresses = _resolved(server, expires)
    while True:
        share = _seconds_left(expires) / len(addresses)
        try:
            connection = socket.create_connection(addresses.pop(0), share)
        except OSError:
            if not addresses:
                raise
        else:
            connection.setblocking(False)
            return connection


def _resolved(server: config.TcpAddress, expires: float) -> list[tuple[str, int]]:
    """At least one address. The system's resolver knows no deadline: it works in a thread that can be left behind."""
    outcome: queue.SimpleQueue[list[tuple[str, int]] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            outcome.put([(str(address[0]), int(address[1])) for *_, address in found])
        except UnicodeError:
            outcome.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))
        except OSError as error:
            outcome.put(error)

    threading.Thread(target=resolve, name="resolve-name-server", daemon=True).start()
    try:
        result = outcome.get(timeout=_seconds_left(expires))
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(result, OSError):
        raise result
    return result


def _reason(error: Exception) -> str:
    """What went wrong, in words for whoever asked for the change."""
    import dns.exception
    import dns.tsig

    match error:
        case _PublishError():
            return str(error)
        case dns.exception.Timeout() | TimeoutError():
            return "the name server did not answer in time"
        case dns.tsig.PeerBadKey():
            return "the name server does not know the key, or does not allow it this change"
        case dns.tsig.PeerBadSignature():
            return "the name server finds our signature wrong: the secrets of the key differ"
        case dns.tsig.BadSignature():
            return "the signature of the name server's answer is wrong"
        case dns.tsig.PeerBadTime() | dns.tsig.BadTime():
            return "the clocks of the name server and of this machine differ"
        case dns.exception.SyntaxError():
            return "not a valid DNS name"
        case dns.exception.DNSException():
            return _UNSIGNED
        case socket.gaierror():
            return "the address of the name server cannot be found"
        case EOFError() | ConnectionResetError() | BrokenPipeError():
            return "the name server closed the connection"
        case _:
            return f"the name server cannot be reached: {getattr(error, 'strerror', None) or error}"
