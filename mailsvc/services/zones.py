"""What a domain should have in DNS, in the forms people paste."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

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
    it."""

    purpose: str
    name: str
    type: str
    value: str
    strings: tuple[str, ...]
    zone_line: str
    published: bool


def wanted(ports: Ports, acting: PanelUser, *, domain: str) -> Sequence[WantedRecord]:
    """The MX, SPF and (once it has a key) DKIM record of ``domain``. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        scoped = scope.domain(unit, acting, domain)
        enabled = {(row.name, row.content) for row in unit.execute(_ENABLED, {"domain_id": scoped.id})}
        texts = [("SPF", spf.record(ports, scoped.name)), ("DKIM", dkim.record(unit, scoped))]
    return [
        _mx(ports, scoped.name),
        *(
            _txt(purpose, record, published=(record.name, record.content) in enabled)
            for purpose, record in texts
            if record is not None
        ),
    ]


def _mx(ports: Ports, domain: str) -> WantedRecord:
    value = f"{MX_PREFERENCE} {ports.settings.hostname}."
    line = f"{domain}. {DEFAULT_TTL} IN MX {value}"
    return WantedRecord("MX", domain, "MX", value, (value,), line, ports.settings.dns == "database")


def _txt(purpose: str, record: TxtRecord, *, published: bool) -> WantedRecord:
    return WantedRecord(purpose, record.name, "TXT", record.value, record.strings, record.zone_line, published)


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
