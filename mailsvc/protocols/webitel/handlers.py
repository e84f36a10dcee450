"""Wire to use-case and back. A handler gets a Call and gives the body of its answer."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from mailsvc.core.acts import PanelUser
from mailsvc.core.refusals import BadInput, GivenByServer, NotSignedIn
from mailsvc.courier import messages
from mailsvc.courier.replies import shown
from mailsvc.courier.smtp import Delivery, Message, Route, SendFailed
from mailsvc.observation import note
from mailsvc.protocols.webitel import addresses, documents, failures, identity, lens, schemas, signed
from mailsvc.protocols.webitel.outcomes import Call, CannotSend
from mailsvc.services import settings_documents, sign_in, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.settings_documents import Found, Way

LIFETIME = timedelta(days=7)

ROLES = {True: (2, "root"), False: (1, "admin")}
"""By whether the user is root: number and name on this wire."""

ACL: Mapping[str, Any] = {"email": ["*"]}
CDR: Mapping[str, Any] = {"host": "", "useProxy": True}
VERTO = ""

SENT_SHOWN = 64

MOST_RECIPIENTS = 20
SUBJECT = "Webitel"
TEXT = "This message was sent to test the e-mail settings of {domain}. They work.\n"
HTML = "<!DOCTYPE html>\n<html><body><p>This message was sent to test the e-mail settings of <b>{domain}</b>.</p>\n<p>They work.</p></body></html>\n"  # noqa: E501

# Logins


def login(ports: Ports, call: Call) -> bytes:
    """Begin a login. Raises BadInput, NotSignedIn, TooOften."""
    name, password = call.members.get("username"), call.members.get("password")
    if not isinstance(name, str) or not name:
        raise BadInput(field="username")
    password = password if isinstance(password, str) else ""
    caller = sign_in.checked(ports, name=name, password=password, address=call.address)
    user = caller.user
    note(caller=user.name)
    expires = identity.now() + int(LIFETIME.total_seconds() * 1000)
    token, key = signed.issue(ports, expires), str(uuid.uuid4())
    tokens.begin(ports, caller, kind=tokens.WEBITEL, token=token, lifetime=LIFETIME, name=key)
    number, role = ROLES[user.is_root]
    return orjson.dumps(
        {"key": key}
        | _bound(ports, user)
        | {"username": user.name, "expires": expires, "token": token, "role": number, "roleName": role}
        | {"acl": ACL, "cdr": CDR, "verto": VERTO}
    )


def logout(ports: Ports, call: Call) -> bytes:
    """End a login. Raises BadInput, NotSignedIn."""
    if not call.token or not call.key:
        raise BadInput(field="x_key")
    if not identity.is_key(call.key) or not tokens.end(ports, call.token, kind=tokens.WEBITEL, name=call.key):
        raise NotSignedIn()
    return b'{"status":"OK","info":"Successful logout."}'


def whoami(ports: Ports, call: Call) -> bytes:
    """Say who calls."""
    _, role = ROLES[call.user.is_root]
    return orjson.dumps(
        {"acl": ACL, "id": call.user.name}
        | _bound(ports, call.user)
        | {"roleName": role, "expires": call.expires, "cdr": CDR, "verto": VERTO}
    )


def _bound(ports: Ports, user: PanelUser) -> dict[str, Any]:
    domain = settings_documents.only_domain(ports, user)
    return {} if domain is None else {"domain": domain}


# The document


def show(ports: Ports, call: Call) -> bytes:
    """The document of the domain. Raises BadInput, NotYours, UnknownDomain, NothingStored, CannotOpen."""
    return documents.shown(*settings_documents.opened(ports, _found(ports, call)))


def create(ports: Ports, call: Call) -> bytes:
    """Make or replace the document. Raises BadInput, NotYours, UnknownDomain, GivenByServer."""
    return _save(ports, call, replace_only=False)


def replace_whole(ports: Ports, call: Call) -> bytes:
    """Replace the document. Raises BadInput, NotYours, UnknownDomain, GivenByServer, NothingStored."""
    return _save(ports, call, replace_only=True)


def _save(ports: Ports, call: Call, *, replace_only: bool) -> bytes:
    one = _found(ports, call)
    if not schemas.is_complete(call.members):
        raise BadInput(field="provider, options")
    document = documents.kept(call.members, one.domain.name)
    text = documents.text_of(document)
    try:
        public_id = settings_documents.save(
            ports, call.act, one, text, lambda: _way(document),
            same_way=lambda before: before == text or lens.sees_no_change(documents.parsed(before), document),
            named=call.members.get("_id"), replace_only=replace_only,
        )  # fmt: skip
    except GivenByServer as refusal:
        sent = refusal.facts["sent"]
        said = sent if isinstance(sent, str) else documents.text_of(sent).decode()
        raise GivenByServer(stored=refusal.facts["stored"], sent=said[:SENT_SHOWN]) from None
    return documents.shown(public_id, text)


def _way(document: Mapping[str, Any]) -> Way | None:
    setup = lens.own(document)
    return None if setup is None else Way(setup.profile, setup.password)


def delete(ports: Ports, call: Call) -> bytes:
    """Remove the document. Raises BadInput, NotYours, UnknownDomain."""
    there = settings_documents.remove(ports, call.act, _found(ports, call).domain)
    return b'{"status":"OK","Info":"Removed %d record."}' % there


def _found(ports: Ports, call: Call) -> Found:
    one = settings_documents.found(ports, call.login, call.wanted)
    call.subject = one.domain.name
    return one


# The test message


def test(ports: Ports, call: Call) -> bytes:
    """Send the test message. Raises BadInput, NotYours, UnknownDomain, NothingStored, CannotSend, CannotOpen."""
    one = _found(ports, call)
    _, text = settings_documents.opened(ports, one)
    document = documents.parsed(text)
    if document.get("provider") != lens.PROVIDER:
        raise CannotSend(info="Bad provider name.", code=None)
    recipients = addresses.recipients(call.to or call.members.get("to"))
    if not recipients:
        raise CannotSend(info="No recipients defined", code="EENVELOPE")
    if len(recipients) > MOST_RECIPIENTS:
        raise CannotSend(info="Too many recipients", code="EENVELOPE")
    sender = lens.sender(document)
    if sender is None:
        raise CannotSend(info="No sender defined", code="EENVELOPE")
    setup = lens.setup(document)
    message = messages.compose(
        sender=sender[0], sender_name=sender[1], recipients=recipients, subject=SUBJECT,
        text=TEXT.format(domain=one.domain.name), html=HTML.format(domain=one.domain.name),
    )  # fmt: skip
    envelope = Message(sender[0], recipients, messages.as_sent(message))
    try:
        delivery = settings_documents.send(ports, call.act, one.domain, _route(ports, setup), envelope)
    except SendFailed as failed:
        raise failures.in_words(failed, setup) from None
    return orjson.dumps(
        {"status": "OK", "info": _told(delivery, envelope, setup) | {"messageId": messages.message_id(message)}}
    )


def _route(ports: Ports, setup: lens.Setup) -> Route:
    return Route(
        profile=setup.profile,
        password=setup.password,
        ehlo_name=ports.settings.hostname,
        verify=setup.profile.verify and not ports.settings.allow_invalid_certs,
        announced_only=False,
        limits=setup.limits,
    )


def _told(delivery: Delivery, envelope: Message, setup: lens.Setup) -> dict[str, Any]:
    return {
        "accepted": delivery.accepted,
        "rejected": delivery.rejected,
        "response": shown(delivery.response.line, setup.password),
        "envelope": {"from": envelope.sender, "to": list(envelope.recipients)},
    }
