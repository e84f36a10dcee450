"""Wire to use-case and back, for the five methods."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from mailsvc.core.smtp_profile import INSTALLATION, PORTAL
from mailsvc.protocols.docspace import lens, testing
from mailsvc.protocols.docspace.lens import View
from mailsvc.protocols.docspace.outcomes import Call
from mailsvc.protocols.docspace.schemas import refuse_incomplete
from mailsvc.services import smtp_profiles, smtp_tests
from mailsvc.services.ports import Ports

Members = Mapping[str, Any] | None

USUAL_PORT = 25


def show(ports: Ports, call: Call) -> Members:
    """The SMTP settings in effect."""
    if call.kept is None:
        return _defaults(ports)
    return lens.members(lens.named(lens.get(call.kept.profile)), is_default=False)


def _defaults(ports: Ports) -> Members:
    if ports.settings.docspace_default == "saas":
        return lens.members(lens.NOTHING_OF_A_TENANT, is_default=True)
    kept = smtp_profiles.found(ports, INSTALLATION)
    there = kept is not None and kept.profile.host
    return lens.members(lens.get_installation(kept.profile) if kept and there else lens.NOTHING, is_default=True)


def save(ports: Ports, call: Call) -> Members:
    """Save the portal's SMTP settings, replacing those that were there."""
    sent = call.sent
    refuse_incomplete(sent)
    view = View(
        host=sent["host"],
        port=sent["port"] or USUAL_PORT,
        sender_address=sent["sender_address"],
        sender_display_name=sent["sender_display_name"],
        user_name=sent["user_name"] if sent["enable_auth"] else None,
        enable_ssl=sent["enable_ssl"],
    )
    password = sent["password"] if sent["enable_auth"] else None
    smtp_profiles.change(ports, call.act, PORTAL, partial(lens.put, view=view), password, subject="portal")
    return lens.members(view, is_default=False)


def reset(ports: Ports, call: Call) -> Members:
    """Remove the portal's SMTP settings; the defaults are in effect again."""
    smtp_profiles.clear(ports, call.act, PORTAL, subject="portal")
    return _defaults(ports)


def test(ports: Ports, call: Call) -> Members:
    """Begin to send a test message by the settings in effect, or join the test that is running."""
    errand = testing.errand_for(ports, call.act.acting)
    begun = smtp_tests.begin(ports, call.act)
    if begun.fresh:
        testing.start(ports, begun.job.id, errand)
    return testing.members(begun.job)


def status(ports: Ports, _call: Call) -> Members:
    """How far the test is; when it has ended, this is said once."""
    job = smtp_tests.look(ports)
    return None if job is None else testing.members(job)
