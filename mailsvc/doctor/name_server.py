"""What PowerDNS answers on this machine, beside what the views hold."""

from collections.abc import Iterator, Sequence

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, absent, failed, ok
from mailsvc.doctor.machine import Machine
from mailsvc.doctor.samples import Record, Samples
from mailsvc.mailhost.layout import Layout

USER = "pdns"
"""As whom Debian's PowerDNS runs."""

INSTALLED = "/etc/powerdns/pdns.d/mailsvc.conf"
"""Where Debian's PowerDNS reads the rendered file; without it no zone is known."""

_RESTART = "systemctl restart pdns"


class _NoAnswer(Exception):
    """PowerDNS said nothing, or refused. The text is why."""


def examine(machine: Machine, layout: Layout, samples: Samples) -> Iterator[Finding]:
    """Whether some zones and some records are served as they are on file."""
    if machine.settings.dns != "database":
        how = f"MAILSVC_DNS={machine.settings.dns} publishes elsewhere"
        yield absent("PowerDNS", f"{how}: `domain check NAME` says what the world sees")
        return
    if programs.where("pdns_server") is None:
        yield absent("PowerDNS", "not installed")
        return
    records = samples.zone_records()
    if not records:
        yield absent("records", "there is no domain, so PowerDNS cannot be asked about one")
    for record in records:
        finding = _served(machine, layout, samples, record)
        yield finding
        if finding.mend:
            return


def _served(machine: Machine, layout: Layout, samples: Samples, record: Record) -> Finding:
    check = f"{record.type} of {record.name}"
    before = samples.contents(record.name, record.type)
    try:
        found = _asked(machine, record)
    except OSError as error:
        # Without the database it does not even start.
        cause = f"no answer at {machine.name_server}: {error.strerror or error}"
        mend = f"ln -sf {machine.tree}/powerdns/mailsvc.conf {INSTALLED} && {_RESTART}"
        return failed("PowerDNS", *_for_want_of_the_group(layout, cause) or (cause, mend))
    except _NoAnswer as reason:
        cause = f"{reason} for {check}"
        stale = f"{cause}: it does not read this database", _RESTART
        return failed("PowerDNS", *_for_want_of_the_group(layout, cause) or stale)
    if found in (_parsed(record.type, before), _parsed(record.type, samples.contents(record.name, record.type))):
        return ok(check, "served as it is on file")
    return failed(check, f"not served as it is on file, but {_words(found)}: it reads another database", _RESTART)


def _for_want_of_the_group(layout: Layout, cause: str) -> tuple[str, str] | None:
    """Cause and command when it may not read the database."""
    group = layout.read_group
    if not programs.is_known(USER) or group in programs.groups_of(USER):
        return None
    return f"{cause}: {USER} is not in group {group}", f"usermod --append --groups {group} {USER} && {_RESTART}"


def _words(found: Sequence[str]) -> str:
    return ", ".join(found)[:120] or "nothing"


def _asked(machine: Machine, record: Record) -> Sequence[str]:
    """The records that are served. Raises OSError when there is no answer, _NoAnswer when it is none."""
    import dns.exception
    import dns.message
    import dns.query
    import dns.rcode
    import dns.rdatatype

    question = dns.message.make_query(record.name, record.type)
    server = machine.name_server
    try:
        reply, _ = dns.query.udp_with_fallback(question, server.host, timeout=programs.LIMIT / 2, port=server.port)
    except dns.exception.Timeout:
        raise OSError("timed out") from None
    except (dns.exception.DNSException, EOFError) as error:
        raise _NoAnswer(f"no DNS answer ({type(error).__name__})") from None
    if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise _NoAnswer(dns.rcode.to_text(reply.rcode()))
    kind = dns.rdatatype.from_text(record.type)
    return sorted(rdata.to_text() for rrset in reply.answer if rrset.rdtype == kind for rdata in rrset)


def _parsed(kind: str, contents: set[str]) -> Sequence[str]:
    """The contents as they come out of an answer."""
    import dns.name
    import dns.rdata

    # Names on file are whole without a final dot, as PowerDNS has them.
    parsed = [dns.rdata.from_text("IN", kind, one, origin=dns.name.root, relativize=False) for one in contents]
    return sorted(rdata.to_text() for rdata in parsed)
