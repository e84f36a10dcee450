"""Wire to use-case and back. A handler gets what its schema read, and gives the ``result`` of the reply."""

from collections.abc import Mapping

from mailsvc.core.acts import Act
from mailsvc.core.addresses import foreign_address, named_address
from mailsvc.core.refusals import BadInput, NothingStored
from mailsvc.core.smtp_profile import INSTALLATION, SmtpProfile
from mailsvc.courier.messages import compose, to_send
from mailsvc.courier.replies import shown
from mailsvc.courier.routes import Route, SendFailed, Why
from mailsvc.protocols.dbvisit import lens
from mailsvc.protocols.dbvisit.outcomes import Sent
from mailsvc.services import audit, smtp_profiles
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Keep

Result = Mapping[str, object]

_REASONS = {
    Why.DENIED: "address not allowed",
    Why.NOT_FOUND: "host not found",
    Why.REFUSED: "connection refused",
    Why.UNREACHABLE: "host not reachable",
    Why.CONNECT_TIMEOUT: "the server did not accept the connection in time",
    Why.NO_GREETING: "the server did not greet in time",
    Why.REPLY_TIMEOUT: "the server did not reply in time",
    Why.LOST: "connection lost",
    Why.NO_STARTTLS: "the server does not offer STARTTLS",
    Why.TLS_FAILED: "TLS failed",
    Why.CERTIFICATE: "certificate not trusted",
    Why.NO_MECHANISM: "the server offers none of AUTH PLAIN, LOGIN, CRAM-MD5",
    Why.NO_SMTPUTF8: "the server does not take addresses with letters outside of ASCII",
}
"""What is said where no reply of the server's says it."""


def show(ports: Ports, _act: Act, _sent: Sent) -> Result:
    """The settings."""
    kept = smtp_profiles.found(ports, INSTALLATION)
    return lens.get(SmtpProfile() if kept is None else kept.profile)


def edit(ports: Ports, act: Act, sent: Sent) -> Result:
    """Change those members that were sent."""
    password = (sent["password"] or None) if "password" in sent else Keep.STORED
    profile = smtp_profiles.change(
        ports, act, INSTALLATION, lambda profile: lens.put(profile, sent), password, subject=members(sent)
    )
    return lens.get(profile)


def members(sent: Sent) -> str:
    """What the audit trail calls what is changed: names, never values."""
    return ",".join(sorted(sent))


def clear(ports: Ports, act: Act, _sent: Sent) -> Result:
    """Forget the settings and the password."""
    smtp_profiles.clear(ports, act, INSTALLATION, subject="")
    return lens.get(SmtpProfile())


def test(ports: Ports, act: Act, sent: Sent) -> Result:
    """Send a message with what is stored.

    Raises NothingStored (no host), BadInput, CannotOpen, TooBusy, and TestFailed with the text to show.
    """
    kept = smtp_profiles.found(ports, INSTALLATION)
    if kept is None or not kept.profile.host:
        raise NothingStored(setting="smtp_host")
    try:
        name, sender = named_address(kept.profile.sender)
    except BadInput:
        raise BadInput(field="from_email") from None
    message = compose(
        sender=sender,
        sender_name=name or kept.profile.sender_name,
        recipients=[foreign_address(sent["to"])],
        subject="Test email",
        text=f"This message was sent by {ports.settings.hostname} to test its e-mail settings. They work.\n",
        automatic=True,
    )
    route = smtp_profiles.route(ports, INSTALLATION, kept)
    try:
        ports.outgoing.send(route, to_send(message))
    except SendFailed as failure:
        raise TestFailed(failure, route) from None
    audit.noted(ports, act, members(sent))
    return {"message": f"test email sent to {sent['to']}"}


class TestFailed(SendFailed):
    """A test that did not succeed. ``text`` says why, fit to be shown."""

    def __init__(self, failure: SendFailed, route: Route) -> None:
        super().__init__(failure.why, failure.step, reply=failure.reply, detail=failure.detail)
        self.text = shown(_reason(failure), route.password)


def _reason(failure: SendFailed) -> str:
    if failure.reply is not None:
        return failure.reply.line
    reason = _REASONS[failure.why]
    return f"{reason}: {failure.detail}" if failure.detail else reason
