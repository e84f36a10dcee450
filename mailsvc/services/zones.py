"""What a domain should have in DNS, in the forms people paste."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from mailsvc.core import zone_names
from mailsvc.core.acts import PanelUser
from mailsvc.core.dns_records import DEFAULT_TTL, TxtRecord
from mailsvc.services import dkim, scope, spf
from mailsvc.services.ports import Ports
from mailsvc.store.models import DnsRecord, Domain, Server
from mailsvc.store.types import ON

MX_PREFERENCE = 10

_ENABLED = select(DnsRecord.name, DnsRecord.content).where(
    DnsRecord.domain_id == bindparam("domain_id"), DnsRecord.enabled == ON
)


class WantedRecord(NamedTuple):
    """A record a domain should have. ``strings`` are the parts of a TXT value; ``published`` whether mailsvc serves
    it; ``note`` says of a DKIM key what it does just now."""

    purpose: str
    name: str
    type: str
    value: str
    strings: tuple[str, ...]
    zone_line: str
    published: bool
    note: str = ""


def wanted(ports: Ports, acting: PanelUser, *, domain: str) -> Sequence[WantedRecord]:
    """Every record that ``domain`` should have: MX, SPF, one for each DKIM key, DMARC, and what mail clients look for.

    Raises UnknownDomain.
    """
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, acting, domain)
        enabled = {(row.name, row.content) for row in unit.execute(_ENABLED, {"domain_id": scoped.id})}
        keys = dkim.keys(unit, scoped)
    name, served = scoped.name, ports.settings.dns == "database"

    def text(purpose: str, record: TxtRecord, note: str = "") -> WantedRecord:
        return _txt(purpose, record, published=(record.name, record.content) in enabled, note=note)

    return [
        _other("MX", name, "MX", f"{MX_PREFERENCE} {ports.settings.hostname}.", published=served),
        text("SPF", spf.record(ports, name)),
        *(text("DKIM", key.record(name), _note(key)) for key in keys),
        _txt("DMARC", dmarc(name), published=served and bool(enabled)),
        *_client_records(name, ports.settings.hostname, published=served),
    ]


def dmarc(domain: str) -> TxtRecord:
    """The DMARC policy that ``domain`` should have while its owner says nothing stricter."""
    return TxtRecord(domain, f"{zone_names.DMARC}.{domain}", zone_names.DMARC_TEXT)


def _client_records(domain: str, hostname: str, *, published: bool) -> Sequence[WantedRecord]:
    """Where mail clients find this server's services."""
    alias = _other("autoconfig", f"{zone_names.AUTOCONFIG}.{domain}", "CNAME", f"{hostname}.", published=published)
    services = (
        _other("SRV", f"{label}.{domain}", "SRV", f"{priority} {weight} {port} {hostname}.", published=published)
        for label, priority, weight, port in zone_names.SERVICES
    )
    return [alias, *services]


def _note(key: dkim.Key) -> str:
    if key.stage is None:
        return ""
    when = f"{key.due_at:%Y-%m-%d %H:%M} UTC"
    return f"new: signs after {when}, once DNS shows it" if key.stage == dkim.COMING else f"old: until {when}"


def _other(purpose: str, name: str, kind: str, value: str, *, published: bool) -> WantedRecord:
    return WantedRecord(purpose, name, kind, value, (value,), f"{name}. {DEFAULT_TTL} IN {kind} {value}", published)


def _txt(purpose: str, record: TxtRecord, *, published: bool, note: str = "") -> WantedRecord:
    return WantedRecord(purpose, record.name, "TXT", record.value, record.strings, record.zone_line, published, note)


def describe_server(ports: Ports) -> None:
    """Put the host name on file for the views. A changed name is a change of every zone."""
    hostname = ports.settings.hostname
    with ports.store.writing() as unit:
        known = unit.scalar(select(Server.hostname))
        if known is None:
            unit.execute(insert(Server), {"id": 1, "hostname": hostname})
        elif known != hostname:
            unit.execute(update(Server).values(hostname=hostname))
            unit.execute(update(Domain).values(zone_serial=Domain.zone_serial + 1))
