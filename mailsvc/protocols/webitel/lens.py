"""The lens of this wire: from the stored document to a way of handing mail in (contract, section 8).

The document itself is kept word for word and is what callers read; the profile is made of it at every write, for mail
of mailsvc's own. A document holds more than a profile can say, so there is no way back, and none is needed: the profile
of a domain is written by nobody else.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS, USUAL_PORTS, SmtpProfile
from mailsvc.core.texts import is_clean
from mailsvc.courier import sasl
from mailsvc.courier.replies import shown
from mailsvc.courier.routes import Limits
from mailsvc.protocols.webitel import addresses, documents
from mailsvc.protocols.webitel.outcomes import CannotSend
from mailsvc.protocols.webitel.truth import truthy

READ = ("provider", "from", "options")
"""The members of a document that say how to send."""

PROVIDER = "smtp"
NO_HOST = "localhost"
TLS_PORT = USUAL_PORTS[TLS]
PORTS = 65535

MOST_SECONDS = 30.0
TOTAL_SECONDS = 60.0

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*")


class Setup(NamedTuple):
    """What a document says about sending."""

    profile: SmtpProfile
    password: str | None
    limits: Limits


def setup(document: Mapping[str, Any]) -> Setup:
    """Raises CannotSend."""
    options = _object(document.get("options"))
    host = options.get("host")
    if truthy(options.get("service")) and not truthy(host):
        raise CannotSend(info="Service names are not supported.", code="ECONNECTION")
    port, secure = _port(options.get("port")), _secure(options)
    auth = _object(options.get("auth"))
    username = _text(auth.get("user"))
    address, name = sender(document) or ("", "")
    security = TLS if secure else _security(options)
    profile = SmtpProfile(
        host=host if isinstance(host, str) and host else NO_HOST,
        port=port or (TLS_PORT if secure else USUAL_PORTS[PLAIN]),
        security=security,
        verify=_object(options.get("tls")).get("rejectUnauthorized") is not False,
        username=username,
        mechanism=_mechanism(options.get("authMethod")) if username else None,
        sender=address,
        sender_name=name,
        ehlo_name=_ehlo_name(options.get("name")),
    )
    return Setup(profile, _text(auth.get("pass")) if username else None, _limits(options))


def own(document: Mapping[str, Any]) -> Setup | None:
    """What mailsvc's own mail of the domain is handed in with; None when nothing can be sent through the document, or
    it names no host.
    """
    host = _object(document.get("options")).get("host")
    if document.get("provider") != PROVIDER or not isinstance(host, str) or not host:
        return None
    try:
        found = setup(document)
    except CannotSend:
        return None
    profile = found.profile
    return found if is_clean(f"{profile.host}{profile.username}") else None


def sees_no_change(before: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether two documents say the same about sending, so that what is made of them is the same too."""
    return _said(before) == _said(document)


def _said(document: Mapping[str, Any]) -> bytes:
    """All that is read here, as text: 1, 1.0 and true are equal, and not the same."""
    return documents.text_of({name: document.get(name) for name in READ})


def put(_profile: SmtpProfile, document: Mapping[str, Any]) -> SmtpProfile:
    """The profile after ``document`` was written: the document says everything, the profile before it nothing."""
    return setup(document).profile


def sender(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """Address and name that mail comes from: ``from``, else the user who authenticates, when that is an address."""
    sent = document.get("from")
    if truthy(sent) and not (isinstance(sent, str) and not sent.strip()):
        return addresses.sender(sent)
    user = _object(_object(document.get("options")).get("auth")).get("user")
    address = addresses.plain(user) if isinstance(user, str) else None
    return None if address is None else (address, "")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _port(value: Any) -> int:
    """The port, 0 for the usual one. Raises CannotSend."""
    if value is None or value == "":
        return 0
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    is_text = isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII)
    if not (is_number or is_text) or not 0 <= int(value) <= PORTS:
        raise CannotSend(info="Bad port.", code="ECONNECTION")
    return int(value)


def _secure(options: Mapping[str, Any]) -> bool:
    """TLS from the first byte; not said at all, port 465 says so."""
    if "secure" in options:
        return truthy(options["secure"])
    return _port(options.get("port")) == TLS_PORT


def _security(options: Mapping[str, Any]) -> str:
    if truthy(options.get("ignoreTLS")):
        return PLAIN
    return STARTTLS if truthy(options.get("requireTLS")) else OPPORTUNISTIC


def _mechanism(value: Any) -> str | None:
    if not truthy(value):
        return None
    name = str(value).strip().upper()
    if name not in sasl.USUAL:
        raise CannotSend(info=f'Unknown authentication method "{shown(name, None)[:64]}"', code="EAUTH")
    return name


def _ehlo_name(value: Any) -> str:
    return value if isinstance(value, str) and _HOST_NAME.fullmatch(value) else ""


def _limits(options: Mapping[str, Any]) -> Limits:
    return Limits(
        connect=_seconds(options.get("connectionTimeout"), 15.0),
        greeting=_seconds(options.get("greetingTimeout"), 10.0),
        reply=_seconds(options.get("socketTimeout"), MOST_SECONDS),
        total=TOTAL_SECONDS,
    )


def _seconds(value: Any, usual: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return usual
    return min(float(value) / 1000, MOST_SECONDS)
