"""Wire to use-case and back. A handler gets what its schema read, and gives the members that its reply has beside the
four that all have."""

from collections.abc import Mapping
from typing import Any

from mailsvc.core.acts import Act
from mailsvc.core.refusals import NothingStored
from mailsvc.services import dkim, forwards, mailboxes, spf
from mailsvc.services.ports import Ports

Sent = Mapping[str, Any]
Members = Mapping[str, Any]

NO_MORE: Members = {}


def addmail(ports: Ports, act: Act, sent: Sent) -> Members:
    """Make a mailbox."""
    mailboxes.add(ports, act, address=sent["email"], password=sent["password"], quota_mib=sent["quota"])
    return NO_MORE


def delmail(ports: Ports, act: Act, sent: Sent) -> Members:
    """Remove a mailbox."""
    mailboxes.remove(ports, act, address=sent["email"])
    return NO_MORE


def addforward(ports: Ports, act: Act, sent: Sent) -> Members:
    """Add targets to a forward."""
    forwards.add(ports, act, source=sent["source"], targets=sent["target"], keep_local=sent.get("save_local"))
    return NO_MORE


def delforward(ports: Ports, act: Act, sent: Sent) -> Members:
    """Remove targets of a forward, or all of it."""
    forwards.remove(ports, act, source=sent["source"], targets=sent.get("target"))
    return NO_MORE


def onspf(ports: Ports, act: Act, sent: Sent) -> Members:
    """Publish the SPF record."""
    spf.enable(ports, act, domain=sent["domain"])
    return NO_MORE


def offspf(ports: Ports, act: Act, sent: Sent) -> Members:
    """Withdraw the SPF record."""
    spf.disable(ports, act, domain=sent["domain"])
    return NO_MORE


def ondkim(ports: Ports, act: Act, sent: Sent) -> Members:
    """Publish the DKIM record."""
    dkim.enable(ports, act, domain=sent["domain"])
    return NO_MORE


def offdkim(ports: Ports, act: Act, sent: Sent) -> Members:
    """Withdraw the DKIM record."""
    dkim.disable(ports, act, domain=sent["domain"])
    return NO_MORE


def getlistmail(ports: Ports, act: Act, _sent: Sent) -> Members:
    """List mailboxes. Raises NothingStored."""
    boxes = mailboxes.listed(ports, act.acting)
    if not boxes:
        raise NothingStored()
    return {
        "data": [box.address for box in boxes],
        "boxes": [{"email": box.address, "quota": box.quota_mib, "enabled": box.enabled} for box in boxes],
    }


def getforwardmail(ports: Ports, act: Act, _sent: Sent) -> Members:
    """List forwards. Raises NothingStored."""
    rules = forwards.listed(ports, act.acting)
    if not rules:
        raise NothingStored()
    return {
        "data": [
            {"source": rule.source, "target": ",".join(rule.targets), "save_local": int(rule.keep_local)}
            for rule in rules
        ]
    }
