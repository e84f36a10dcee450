"""E-mail settings of domains, each one document of whatever its callers say, kept word for word and sealed whole.

With the document goes the SMTP profile that is made of it: the domain's own way of handing mail in.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.refusals import BadInput, GivenByServer, NothingStored, NotYours, UnknownDomain
from mailsvc.core.smtp_profile import SmtpProfile
from mailsvc.courier.smtp import Delivery, Message, Route
from mailsvc.services import audit, scope, smtp_profiles, tokens
from mailsvc.services.ports import Ports
from mailsvc.services.scope import ScopedDomain
from mailsvc.store.models import Domain, SettingsDocument
from mailsvc.store.models import PanelUser as User
from mailsvc.store.questions import Change, Question
from mailsvc.store.types import now
from mailsvc.vault.seals import CannotOpen

_STORED = SettingsDocument.domain_id == bindparam("of_domain")
_ADDED = Change(insert(SettingsDocument), ("domain_id", "public_id", "content"))
_REPLACEMENT = update(SettingsDocument).where(_STORED).values(content=bindparam("content"))
_REPLACED = Change(_REPLACEMENT)
_REPLACED_AS_SEEN = Change(
    _REPLACEMENT.where(
        SettingsDocument.content == bindparam("seen"),
        exists().where(
            Domain.id == SettingsDocument.domain_id,
            Domain.name == bindparam("of_name"),
            Domain.owner_id == bindparam("of_owner"),
        ),
    )
)
_REMOVED = Change(delete(SettingsDocument).where(_STORED))


class Found(NamedTuple):
    """The domain that a call is about, and its document as it is kept, if it has one."""

    domain: ScopedDomain
    public_id: str | None
    content: bytes | None


class Login(NamedTuple):
    """Whose login it is, and of his own domains up to two, each with its document."""

    user: PanelUser
    own: Sequence[Found]


_COLUMNS = (Domain.id, Domain.name, Domain.owner_id, SettingsDocument.public_id, SettingsDocument.content)
_WITH_DOCUMENT = SettingsDocument.domain_id == Domain.id


def _found(row: Sequence[Any]) -> Found:
    return Found(ScopedDomain(*row[:3]), *row[3:])


_OF_NAME = Question(
    select(*_COLUMNS).outerjoin(SettingsDocument, _WITH_DOCUMENT).where(Domain.name == bindparam("name")), _found
)
_OF_LOGIN: Question[tuple[Any, ...]] = Question(
    tokens.NAMED.add_columns(*_COLUMNS)
    .outerjoin(Domain, Domain.owner_id == User.id)
    .outerjoin(SettingsDocument, _WITH_DOCUMENT)
    .limit(2),
    tuple,
)
_OWNED = select(Domain.name).where(Domain.owner_id == bindparam("owner_id")).limit(2)


class Way(NamedTuple):
    """The profile that is made of a document, and its password."""

    profile: SmtpProfile
    password: str | None


def only_domain(ports: Ports, user: PanelUser) -> str | None:
    """The domain that ``user`` is bound to: his, if he is not root and owns exactly one."""
    if user.is_root:
        return None
    with ports.store.reading() as unit:
        names = unit.scalars(_OWNED, {"owner_id": user.id}).all()
    return names[0] if len(names) == 1 else None


def of_login(ports: Ports, key: str, token: str, *, kind: str) -> Login:
    """The login of ``key`` and ``token``: one look-up for all that most calls ask. Raises NotSignedIn."""
    with ports.store.reading() as unit:
        rows = _OF_LOGIN.ask(unit, name=key, kind=kind, now=now())
    user = tokens.user_of_named(rows, token)
    width = tokens.NAMED_COLUMNS
    return Login(user, [_found(row[width:]) for row in rows if row[width] is not None])


def found(ports: Ports, login: Login, wanted: str | None) -> Found:
    """The domain that the user of ``login`` means by ``wanted`` (canonical; None: he names none), and its document.

    Whoever owns exactly one domain means that one, whatever he names. Raises BadInput when a name is needed, NotYours
    for a domain that is another's or that is not there, and for root, to whom all belong, UnknownDomain.
    """
    user, own = login
    if len(own) == 1 and not user.is_root:
        return own[0]
    if wanted is None:
        raise BadInput(field="domain")
    with ports.store.reading() as unit:
        one = of_name(unit, wanted)
    if user.is_root and one is None:
        raise UnknownDomain(domain=wanted)
    if one is None or not scope.covers(user, one.domain):
        raise NotYours(domain=wanted)
    return one


def opened(ports: Ports, one: Found) -> tuple[str, bytes]:
    """Name and text of the document. Raises NothingStored, CannotOpen."""
    if one.public_id is None or one.content is None:
        raise NothingStored(domain=one.domain.name)
    return one.public_id, ports.seals.open(seal_purpose(one.domain.id), one.content, remember=True)


def known(ports: Ports, one: Found) -> bytes | None:
    """The text of the document, None where there is none or it does not open."""
    try:
        return opened(ports, one)[1]
    except (NothingStored, CannotOpen):
        return None


def seal_purpose(domain_id: int) -> str:
    """What the document of a domain is sealed for."""
    return f"settings:{domain_id}"


def save(
    ports: Ports,
    act: Act,
    one: Found,
    text: bytes,
    way: Callable[[], Way | None],
    *,
    same_way: Callable[[bytes], bool] = lambda _: False,
    named: object = None,
    replace_only: bool = False,
) -> str:
    """Keep ``text`` for the domain of ``one`` in the place of what was there, and with it the ``way`` that is made of
    it (None: there is none). ``same_way`` says of a text whether the same is made of it, so that it need not be again.

    ``named`` is the name of the document as the caller gives it, None if he does not. Returns its name, which stays
    when a document is replaced. Raises GivenByServer when the caller gives another, NothingStored when there is nothing
    to replace, UnknownDomain when the domain left the scope, CannotOpen without a usable key file.
    """
    domain = one.domain
    made = None if _stays(ports, one, same_way) else _made(ports, domain, way())
    sealed = ports.seals.seal(seal_purpose(domain.id), text, remember=True)
    with ports.store.writing() as unit:
        public_id = _replace_as_seen(unit, one, sealed, named)
        if public_id is None:
            before = _same(unit, act, domain)
            public_id = _keep(unit, before, sealed, named, replace_only=replace_only)
            if made is None and before.content != one.content and not _stays(ports, before, same_way):
                # Somebody else's document came between, and his way with it.
                made = _made(ports, domain, way())
        if made is not None:
            _keep_way(unit, domain, made)
        audit.done(unit, act, domain.name)
    return public_id


def _replace_as_seen(unit: Connection, one: Found, sealed: bytes, named: object) -> str | None:
    """Put ``sealed`` in the place of the document of ``one`` if it and its domain are still as they were seen.

    Returns its name, or None when nothing was done. No two sealed texts are alike, even of the same document. One
    statement instead of two, while all others wait.
    """
    if named not in (None, one.public_id):
        return None
    domain = one.domain
    values = {"seen": one.content, "content": sealed, "of_name": domain.name, "of_owner": domain.owner_id}
    return one.public_id if _REPLACED_AS_SEEN.make(unit, of_domain=domain.id, **values) else None


def _stays(ports: Ports, one: Found, same_way: Callable[[bytes], bool]) -> bool:
    text = known(ports, one)
    return text is not None and same_way(text)


class _Made(NamedTuple):
    """A way ready to be kept, its password sealed; ``profile`` None: there is none."""

    profile: SmtpProfile | None
    password: bytes | None


def _made(ports: Ports, domain: ScopedDomain, way: Way | None) -> _Made:
    if way is None:
        return _Made(None, None)
    if way.password is None:
        return _Made(way.profile, None)
    purpose = smtp_profiles.seal_purpose(smtp_profiles.scope_of_domain(domain.id))
    return _Made(way.profile, ports.seals.seal(purpose, way.password.encode("utf-8", "surrogatepass")))


def _keep_way(unit: Connection, domain: ScopedDomain, made: _Made) -> None:
    profile_scope = smtp_profiles.scope_of_domain(domain.id)
    profile = made.profile
    if profile is None:
        smtp_profiles.remove(unit, profile_scope)
    else:
        smtp_profiles.write(unit, profile_scope, lambda _: profile, made.password, domain_id=domain.id)


def _same(unit: Connection, act: Act, domain: ScopedDomain) -> Found:
    """``domain`` and its document as they are now. Raises UnknownDomain if it left the scope, or another took its name.

    As scope.same, and the document with it in the same look-up.
    """
    found = of_name(unit, domain.name)
    if found is None or found.domain.id != domain.id or not scope.covers(act.acting, found.domain):
        raise UnknownDomain(domain=domain.name)
    return found


def of_name(unit: Connection, name: str) -> Found | None:
    """The domain of that name, whosever it is, and its document."""
    found = _OF_NAME.ask(unit, name=name)
    return found[0] if found else None


def _keep(unit: Connection, before: Found, sealed: bytes, named: object, *, replace_only: bool) -> str:
    domain, public_id, _ = before
    if public_id is None:
        if replace_only:
            raise NothingStored(domain=domain.name)
        public_id = secrets.token_hex(12)
        _ADDED.make(unit, domain_id=domain.id, public_id=public_id, content=sealed)
        return public_id
    if named is not None and named != public_id:
        raise GivenByServer(stored=public_id, sent=named)
    _REPLACED.make(unit, of_domain=domain.id, content=sealed)
    return public_id


def remove(ports: Ports, act: Act, domain: ScopedDomain) -> bool:
    """Forget the document of ``domain`` and its profile. Whether there was one. Raises UnknownDomain."""
    with ports.store.writing() as unit:
        _same(unit, act, domain)
        there = _REMOVED.make(unit, of_domain=domain.id) > 0
        smtp_profiles.remove(unit, smtp_profiles.scope_of_domain(domain.id))
        audit.done(unit, act, domain.name)
    return there


def send(ports: Ports, act: Act, domain: ScopedDomain, route: Route, message: Message) -> Delivery:
    """Hand ``message`` in, for ``domain``, while the caller waits. Raises courier.smtp.SendFailed, TooBusy."""
    delivery = ports.outgoing.send(route, message)
    audit.noted(ports, act, domain.name)
    return delivery
