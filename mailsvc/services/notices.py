"""Mail that mailsvc itself sends: through the effective SMTP profile, else through the mail server of this machine."""

from collections.abc import Sequence

from mailsvc.core.addresses import named_address
from mailsvc.core.refusals import BadInput
from mailsvc.core.smtp_profile import PLAIN, SmtpProfile
from mailsvc.courier.messages import compose, to_send
from mailsvc.courier.routes import Route
from mailsvc.courier.smtp import Delivery
from mailsvc.services import smtp_profiles
from mailsvc.services.ports import Ports

LOCAL = SmtpProfile(host="127.0.0.1", port=25, security=PLAIN)
"""The mail server of this machine, where nobody has set anything."""


def send(ports: Ports, *, recipients: Sequence[str], subject: str, text: str, domain: str | None = None) -> Delivery:
    """Send ``text`` to ``recipients`` (as core.addresses.foreign_address gives them), in the name of ``domain`` if it
    is said: through the domain's profile, else the portal's, else the installation's, else this machine's mail server.

    Raises courier.routes.SendFailed, TooBusy, vault.seals.CannotOpen.
    """
    route = _route(ports, domain)
    name, sender = _sender(route.profile, domain or ports.settings.hostname)
    message = compose(
        sender=sender, sender_name=name, recipients=recipients, subject=subject, text=text, automatic=True
    )
    return ports.outgoing.send(route, to_send(message))


def _route(ports: Ports, domain: str | None) -> Route:
    found = smtp_profiles.effective(ports, domain=domain)
    if found is None:
        return Route(profile=LOCAL, password=None, ehlo_name=ports.settings.hostname, verify=True)
    return smtp_profiles.route(ports, *found)


def _sender(profile: SmtpProfile, domain: str) -> tuple[str, str]:
    try:
        name, address = named_address(profile.sender)
    except BadInput:
        return profile.sender_name or "mailsvc", f"postmaster@{domain}"
    return name or profile.sender_name, address
