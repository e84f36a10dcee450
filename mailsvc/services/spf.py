"""The SPF record of a domain (RFC 7208): published and withdrawn."""

from mailsvc.core.acts import Act
from mailsvc.core.dns_records import TxtRecord
from mailsvc.services import publication, scope
from mailsvc.services.ports import Ports


def enable(ports: Ports, act: Act, *, domain: str) -> None:
    """Publish the server's SPF text for ``domain``. Raises UnknownDomain, AlreadyInThatState, PublishFailed."""
    _switch(ports, act, domain, on=True)


def disable(ports: Ports, act: Act, *, domain: str) -> None:
    """Withdraw the SPF record of ``domain``. Raises UnknownDomain, AlreadyInThatState, PublishFailed."""
    _switch(ports, act, domain, on=False)


def record(ports: Ports, domain: str) -> TxtRecord:
    """The record that ``domain`` should have."""
    return TxtRecord(domain, domain, ports.settings.spf_text)


def _switch(ports: Ports, act: Act, name: str, *, on: bool) -> None:
    with ports.store.reading() as unit:
        domain = scope.domain(unit, act.acting, name)
    publication.switch(ports, act, domain, publication.SPF, record(ports, domain.name), on=on)
