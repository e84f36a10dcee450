"""What an SPF record comes to: every record it leads to, how many look-ups that takes, and whether it lets a server
send (RFC 7208, sections 4.6.4 and 5)."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from mailsvc.core.spf import ASKING, LOOK_UPS, VOIDS, SpfError, Term, is_spf, terms
from mailsvc.dns.lookup import Resolver

ENOUGH = 3 * LOOK_UPS
"""Look-ups after which following a record ends: it is far over the limit by then."""

MX_HOSTS = 10
"""Hosts of an ``mx`` term that a receiver looks up (section 4.6.4)."""

Ip = IPv4Address | IPv6Address


class _Step(NamedTuple):
    term: Term
    addresses: tuple[Ip, ...]
    policy: "Policy | None"


@dataclass(slots=True)
class Policy:
    """One record with all that it leads to.

    ``look_ups`` counts the terms that need DNS, in the records below too, and ``voids`` those of them that find
    nothing, neither IPv4 nor IPv6. ``faults`` are reasons why a receiver may fail to read it, one clear line each.
    """

    steps: list[_Step] = field(default_factory=list)
    look_ups: int = 0
    voids: int = 0
    faults: list[str] = field(default_factory=list)

    def allows(self, address: str) -> bool:
        """Whether a message from ``address`` passes. Terms with macros match nobody here."""
        return _result(self, ip_address(address)) == "+"


def followed(resolver: Resolver, domain: str, text: str) -> Policy:
    """The policy that ``text``, the SPF record of ``domain``, comes to. Raises NoAnswer."""
    policy = Policy()
    _follow(resolver, domain, text, policy, policy)
    if policy.look_ups > LOOK_UPS:
        policy.faults.append(f"it takes {policy.look_ups} look-ups, and receivers stop at {LOOK_UPS}")
    if policy.voids > VOIDS:
        policy.faults.append(f"{policy.voids} of its look-ups find nothing, and receivers stop at {VOIDS}")
    return policy


def _follow(resolver: Resolver, domain: str, text: str, policy: Policy, whole: Policy) -> None:
    try:
        found = terms(text)
    except SpfError as error:
        whole.faults.append(f"{domain}: {error}")
        return
    for term in found:
        whole.look_ups += term.name in ASKING
        if whole.look_ups > ENOUGH:
            return
        policy.steps.append(_step(resolver, domain, term, whole))


def _step(resolver: Resolver, domain: str, term: Term, whole: Policy) -> _Step:
    target = term.target or domain
    if "%" in target:
        return _Step(term, (), None)
    if term.name in ("include", "redirect"):
        return _Step(term, (), _below(resolver, target, term, whole))
    if term.name == "a":
        addresses = _addresses(resolver, target)
        whole.voids += not addresses
        return _Step(term, addresses, None)
    if term.name == "mx":
        records = resolver.mx(target)
        whole.voids += not records
        hosts = [host for _, host in records if host][:MX_HOSTS]
        return _Step(term, tuple(address for host in hosts for address in _addresses(resolver, host)), None)
    return _Step(term, (), None)


def _below(resolver: Resolver, target: str, term: Term, whole: Policy) -> Policy:
    policy = Policy()
    records = resolver.txt(target)
    whole.voids += not records
    texts = [text for text in records if is_spf(text)]
    if len(texts) == 1:
        _follow(resolver, target, texts[0], policy, whole)
    else:
        whole.faults.append(f"{term.name} leads to {target}, which has {len(texts) or 'no'} SPF record")
    return policy


def _addresses(resolver: Resolver, host: str) -> tuple[Ip, ...]:
    return tuple(ip_address(text) for text in resolver.addresses(host))


def _result(policy: Policy, address: Ip) -> str | None:
    """The qualifier of the first term that matches; None when none does."""
    for step in policy.steps:
        if step.term.name == "redirect":
            return _result(step.policy, address) if step.policy else None
        if _matches(step, address):
            return step.term.qualifier
    return None


def _matches(step: _Step, address: Ip) -> bool:
    if step.term.name == "all":
        return True
    if step.term.name == "include":
        return step.policy is not None and _result(step.policy, address) == "+"
    if step.term.network is not None:
        return address in step.term.network
    prefix = step.term.prefixes[address.version == 6]
    return any(address in ip_network(f"{own}/{prefix}", strict=False) for own in step.addresses)
