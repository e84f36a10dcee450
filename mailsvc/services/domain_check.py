"""Whether DNS says of a domain what it should: wanted and found side by side, as the rest of the world sees it."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mailsvc.core import spf as spf_texts
from mailsvc.core.acts import PanelUser
from mailsvc.core.dns_records import DEFAULT_TTL, TxtRecord
from mailsvc.dns import spf_policy
from mailsvc.dns.lookup import NoAnswer, Resolver
from mailsvc.services import dkim, scope, spf, zones
from mailsvc.services.ports import Ports

OK = "ok"
OFF = "off"
MISSING = "missing"
WRONG = "wrong"
UNANSWERED = "unanswered"


class Finding(NamedTuple):
    """What became of one record. ``verdict``: OK, OFF (nothing wanted just now), MISSING, WRONG or UNANSWERED;
    ``reason`` says why it is not OK, and ``publish`` what would mend it: lines of a zone file, or words."""

    purpose: str
    name: str
    type: str
    wanted: str
    found: list[str]
    verdict: str
    reason: str = ""
    publish: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done."""
        return self.verdict in (OK, OFF)


def check(ports: Ports, acting: PanelUser, *, domain: str) -> Sequence[Finding]:
    """MX, addresses of this server with their PTR, SPF, DKIM of each published key, and DMARC. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, acting, domain)
        keys = dkim.published(unit, scoped)
    resolver, hostname = Resolver(ports.settings.resolver), ports.settings.hostname
    addresses, address_findings = _host(resolver, hostname)
    return [
        _answered("MX", scoped.name, "MX", lambda: _mx(resolver, scoped.name, hostname)),
        *address_findings,
        _answered("SPF", scoped.name, "TXT", lambda: _spf(resolver, spf.record(ports, scoped.name), addresses)),
        *[_answered("DKIM", key.name, "TXT", lambda key=key: _dkim(resolver, key)) for key in keys],  # type: ignore[misc]
        *([] if keys else [_dkim_is_off(scoped.name)]),
        _answered("DMARC", f"_dmarc.{scoped.name}", "TXT", lambda: _dmarc(resolver, zones.dmarc(scoped.name))),
    ]


def _answered(purpose: str, name: str, kind: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except NoAnswer as error:
        return Finding(purpose, name, kind, "", [], UNANSWERED, str(error))


def _mx(resolver: Resolver, domain: str, hostname: str) -> Finding:
    hosts = resolver.mx(domain)
    wanted = f"{zones.MX_PREFERENCE} {hostname}."
    preferred = [host for preference, host in hosts if preference == hosts[0][0]]
    reason = (
        "" if hostname in preferred else f"mail goes to {hosts[0][1] or 'nobody'} first" if hosts else "no MX record"
    )
    verdict = WRONG if hosts else MISSING
    return Finding(
        "MX",
        domain,
        "MX",
        wanted,
        [f"{preference} {host}." for preference, host in hosts],
        verdict if reason else OK,
        reason,
        f"{domain}. {DEFAULT_TTL} IN MX {wanted}" if reason else "",
    )


def _host(resolver: Resolver, hostname: str) -> tuple[Sequence[str], Sequence[Finding]]:
    try:
        addresses = resolver.addresses(hostname)
    except NoAnswer as error:
        return [], [Finding("address", hostname, "A/AAAA", "", [], UNANSWERED, str(error))]
    if not addresses:
        reason, advice = "this server's name leads nowhere", f"{hostname}. {DEFAULT_TTL} IN A <address of this server>"
        return [], [Finding("address", hostname, "A/AAAA", "", [], MISSING, reason, advice)]
    return addresses, [
        _answered("PTR", address, "PTR", lambda address=address: _ptr(resolver, address, hostname))  # type: ignore[misc]
        for address in addresses
    ]


def _ptr(resolver: Resolver, address: str, hostname: str) -> Finding:
    names = resolver.names_of(address)
    confirmed = [name for name in names if name == hostname or address in resolver.addresses(name)]
    reason = "" if confirmed else "no name leads back to the address" if names else "the address has no name"
    advice = f"ask whoever gave you {address} to set its reverse name to {hostname}." if reason else ""
    verdict = OK if not reason else WRONG if names else MISSING
    return Finding("PTR", address, "PTR", f"{hostname}.", [f"{name}." for name in names], verdict, reason, advice)


def _spf(resolver: Resolver, record: TxtRecord, addresses: Sequence[str]) -> Finding:
    texts = [text for text in resolver.txt(record.name) if spf_texts.is_spf(text)]
    faults = [f"there are {len(texts)} SPF records, and receivers accept one"] if len(texts) > 1 else []
    if len(texts) == 1:
        policy = spf_policy.followed(resolver, record.name, texts[0])
        faults += policy.faults
        faults += [f"it does not let {own} send, which is this server" for own in addresses if not policy.allows(own)]
    verdict = MISSING if not texts else WRONG if faults else OK
    reason = "; ".join(faults) if texts else "no SPF record"
    return _text("SPF", record, texts, verdict, reason)


def _dkim(resolver: Resolver, record: TxtRecord) -> Finding:
    texts = resolver.txt(record.name)
    key = _tags(record.value)["p"]
    if not texts:
        verdict, reason = MISSING, "receivers find no key, and signatures do not verify"
    elif len(texts) > 1:
        verdict, reason = WRONG, "there is another TXT record at this name, which voids both"
    elif _tags(texts[0]).get("p") != key:
        verdict, reason = WRONG, "it shows another key than the one that signs"
    else:
        verdict, reason = OK, ""
    return _text("DKIM", record, texts, verdict, reason)


def _dkim_is_off(domain: str) -> Finding:
    advice = f"`dkim on {domain}` makes a key and publishes it"
    return Finding("DKIM", f"_domainkey.{domain}", "TXT", "", [], OFF, "mail of this domain is not signed", advice)


def _dmarc(resolver: Resolver, record: TxtRecord) -> Finding:
    texts = _policies(resolver, record.name)
    parents = record.zone.split(".")[1:]
    # A policy of a domain above holds for those below it that have none (RFC 7489, section 6.6.3).
    while not texts and len(parents) >= 2:
        texts = _policies(resolver, f"_dmarc.{'.'.join(parents)}")
        parents = parents[1:]
    if not texts:
        return _text("DMARC", record, texts, MISSING, "no DMARC record")
    if len(texts) > 1:
        return _text("DMARC", record, texts, WRONG, "there is more than one DMARC record, and receivers heed none")
    if _tags(texts[0]).get("p", "").lower() not in ("none", "quarantine", "reject"):
        return _text("DMARC", record, texts, WRONG, "its p= is not none, quarantine or reject")
    return _text("DMARC", record, texts, OK, "")


def _policies(resolver: Resolver, name: str) -> list[str]:
    return [text for text in resolver.txt(name) if re.match(r"v\s*=\s*DMARC1\s*(;|$)", text)]


def _tags(text: str) -> dict[str, str]:
    """The tags of a DKIM or DMARC record (RFC 6376, section 3.2), without any blanks."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): re.sub(r"\s", "", value) for name, _, value in pairs}


def _text(purpose: str, record: TxtRecord, found: list[str], verdict: str, reason: str) -> Finding:
    publish = "" if verdict == OK else record.zone_line
    return Finding(purpose, record.name, "TXT", record.value, found, verdict, reason, publish)
