"""The catch-all of a domain: where mail goes for addresses of it that are neither a mailbox nor a forward."""

from sqlalchemy import bindparam, delete, insert, select

from mailsvc.core.acts import Act, PanelUser
from mailsvc.core.addresses import Address
from mailsvc.core.refusals import AlreadyInThatState, ForwardLoop, NoSuchMailbox
from mailsvc.services import audit, chains, scope
from mailsvc.services.ports import Ports
from mailsvc.store.models import CatchAll, Domain

_TARGET = select(CatchAll.target).where(CatchAll.domain_id == bindparam("which"))
_DROP = delete(CatchAll).where(CatchAll.domain_id == bindparam("which"))
_LOCAL = select(Domain.id).where(Domain.name == bindparam("name"))


def direct(ports: Ports, act: Act, *, domain: str, target: Address) -> None:
    """Send what nobody takes in ``domain`` to ``target``, in place of where it went before.

    A target on this server has to be a mailbox or a forward, and catches only as long as it is one. Raises
    UnknownDomain, NoSuchMailbox, ForwardLoop.
    """
    with ports.store.writing() as unit:
        scoped = scope.domain(unit, act.acting, domain)
        is_local = unit.scalar(_LOCAL, {"name": target.domain}) is not None
        if is_local and not chains.is_served(unit, str(target)):
            raise NoSuchMailbox(address=str(target))
        if chains.leading_back(unit, f"@{scoped.name}", [str(target)]):
            raise ForwardLoop(source=f"@{scoped.name}", target=str(target))
        unit.execute(_DROP, {"which": scoped.id})
        row = {"domain_id": scoped.id, "target": str(target), "target_domain": target.domain}
        unit.execute(insert(CatchAll), row)
        audit.done(unit, act, scoped.name)


def switch_off(ports: Ports, act: Act, *, domain: str) -> None:
    """Refuse again what nobody takes in ``domain``. Raises UnknownDomain, AlreadyInThatState."""
    with ports.store.writing() as unit:
        scoped = scope.domain(unit, act.acting, domain)
        if not unit.execute(_DROP, {"which": scoped.id}).rowcount:
            raise AlreadyInThatState(domain=scoped.name)
        audit.done(unit, act, scoped.name)


def target_of(ports: Ports, acting: PanelUser, *, domain: str) -> str | None:
    """Where what nobody takes in ``domain`` goes; None when it is refused. Raises UnknownDomain."""
    with ports.store.reading() as unit:
        return unit.scalar(_TARGET, {"which": scope.domain(unit, acting, domain).id})
