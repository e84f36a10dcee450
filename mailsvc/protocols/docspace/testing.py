"""The test job: its steps as the wire names them, and the thread that takes them.

The thread is a daemon: a process that is told to end does not wait for a foreign server. The job then counts as
interrupted.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mailsvc.core.acts import PanelUser
from mailsvc.core.addresses import foreign_address
from mailsvc.core.refusals import BadInput
from mailsvc.core.smtp_profile import INSTALLATION, PORTAL
from mailsvc.courier import messages, smtp
from mailsvc.courier.replies import shown
from mailsvc.courier.routes import SendFailed, Step, Why
from mailsvc.courier.smtp import Message
from mailsvc.protocols.docspace import lens
from mailsvc.protocols.docspace.lens import NOTHING, View
from mailsvc.services import smtp_profiles, smtp_tests, users
from mailsvc.services.ports import Ports
from mailsvc.services.smtp_profiles import Kept
from mailsvc.services.smtp_tests import Job, Superseded
from mailsvc.vault.seals import CannotOpen

log = logging.getLogger("mailsvc.docspace")

SUBJECT = "SMTP test message"

INTERRUPTED = "The test was interrupted."


class Stage(Enum):
    """A step: how far the job is then, and what it is called."""

    TENANT = (5, "Setup tenant")
    USER = (10, "Setup user")
    DATA = (15, "Find user data")
    MESSAGE = (20, "Create mime message")
    CONNECT = (40, "Connect to host")
    AUTHENTICATE = (60, "Authenticate")
    SEND = (80, "Send test message")


_STAGE = {Step.CONNECT: Stage.CONNECT, Step.AUTHENTICATE: Stage.AUTHENTICATE, Step.SEND: Stage.SEND}

_WORDS = {
    Why.DENIED: "Connection to this address is not allowed.",
    Why.REFUSED: "The connection was refused.",
    Why.CONNECT_TIMEOUT: "The connection could not be made in time.",
    Why.NO_GREETING: "The server did not greet in time.",
    Why.REPLY_TIMEOUT: "The server did not reply in time.",
    Why.LOST: "The server closed the connection.",
    Why.NO_STARTTLS: "The SMTP server does not support the STARTTLS extension.",
    Why.CERTIFICATE: "The server certificate could not be verified.",
    Why.NO_MECHANISM: "The server does not support the requested authentication mechanism.",
    Why.NO_SMTPUTF8: "The SMTP server does not support addresses beyond ASCII.",
}
"""What is said where the server itself said nothing, or nothing to show."""


class _Failed(Exception):
    """The job ends here."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What was read when the job began: whose settings, whom to write to."""

    scope: str
    kept: Kept | None
    view: View
    contact: str | None


def errand_for(ports: Ports, user: PanelUser) -> Errand:
    """The settings in effect now, also those that ``saas`` does not show, and where ``user`` can be reached."""
    contact = users.contact_address(ports, user)
    if (kept := smtp_profiles.found(ports, PORTAL)) is not None:
        return Errand(PORTAL, kept, lens.named(lens.get(kept.profile)), contact)
    kept = smtp_profiles.found(ports, INSTALLATION)
    return Errand(INSTALLATION, kept, NOTHING if kept is None else lens.get_installation(kept.profile), contact)


def start(ports: Ports, job: str, errand: Errand) -> None:
    """Have a thread do the job."""
    thread = threading.Thread(target=_run, args=(ports, job, errand), name="smtp-test", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        log.exception("there is no thread for the test job")
        smtp_tests.fail(ports, job, INTERRUPTED)


def members(job: Job) -> Mapping[str, Any]:
    """The job object of the wire, members in its order."""
    return {
        "completed": job.completed or job.interrupted,
        "id": job.id,
        "error": INTERRUPTED if job.interrupted else job.error,
        "status": job.status,
        "percents": job.percents,
    }


def _run(ports: Ports, job: str, errand: Errand) -> None:
    try:
        _perform(ports, job, errand)
    except Superseded:
        log.warning("a test job was overtaken")
    except Exception:
        # The next status calls it interrupted, if not even this could be noted.
        log.exception("a test job failed for a reason of our own")


def _perform(ports: Ports, job: str, errand: Errand) -> None:
    try:
        _send(ports, job, errand)
    except _Failed as failure:
        smtp_tests.fail(ports, job, str(failure))
    except Superseded:
        raise
    except Exception:
        smtp_tests.fail(ports, job, "Internal Server Error")
        raise
    else:
        smtp_tests.succeed(ports, job)


def _send(ports: Ports, job: str, errand: Errand) -> None:
    def enter(stage: Stage) -> None:
        percents, status = stage.value
        smtp_tests.advance(ports, job, status=status, percents=percents)

    for stage in (Stage.TENANT, Stage.USER, Stage.DATA):
        enter(stage)
    try:
        route = None if errand.kept is None else smtp_profiles.route(ports, errand.scope, errand.kept)
    except CannotOpen:
        log.exception("the SMTP password does not open")
        raise _Failed("The stored password cannot be opened.") from None
    enter(Stage.MESSAGE)
    message = _message(ports, errand)
    if route is None or not route.profile.host:
        enter(Stage.CONNECT)
        raise _Failed("Empty smtp host.")
    try:
        # Not in turn (services.outgoing): no request waits for this, and of its kind there is one.
        smtp.send(ports.targets, route, message, lambda step: enter(_STAGE[step]))
    except SendFailed as failure:
        log.info("a test message was not sent: %s", failure.why.name)
        raise _Failed(in_words(failure, route.password)) from None


def _message(ports: Ports, errand: Errand) -> Message:
    if not errand.view.sender_address:
        raise _Failed("Empty sender address.")
    try:
        sender = foreign_address(errand.view.sender_address)
        recipient = sender if errand.contact is None else foreign_address(errand.contact)
    except BadInput:
        raise _Failed("The address of the sender or the recipient is not one that mail can be sent with.") from None
    message = messages.compose(
        sender=sender,
        sender_name=errand.view.sender_display_name or "",
        recipients=[recipient],
        subject=SUBJECT,
        text=(
            f"The mail service at {ports.settings.hostname} was asked to test its SMTP settings.\n"
            "You are reading this, so they work. There is nothing else for you to do.\n"
        ),
        automatic=True,
    )
    return messages.to_send(message)


def in_words(failure: SendFailed, password: str | None) -> str:
    """What the wire says of ``failure``: the server's own words if there are any, cleaned, else short ones."""
    if failure.reply is not None:
        text = f"{failure.reply.code}: {failure.reply.text}"
    elif failure.why is Why.TLS_FAILED:
        text = f"TLS failed: {failure.detail}"
    else:
        text = _WORDS.get(failure.why) or failure.detail or "The message was not sent."
    return shown(text, password)
