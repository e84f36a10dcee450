"""Refusals in one clear English line each."""

from mailsvc.core import refusals
from mailsvc.core.refusals import Refusal

_WORDS: dict[type[Refusal], str] = {
    refusals.UnknownUser: "there is no user {user}",
    refusals.UnknownDomain: "there is no domain {domain}",
    refusals.NoSuchMailbox: "there is no mailbox {address}",
    refusals.NothingStored: "no forwarding is defined for {source}",
    refusals.NothingToRestore: "no removed mailbox {address} can be brought back",
    refusals.NoSuchTarget: "{source} is not forwarded to {target}",
    refusals.AlreadyInThatState: "that is so already for {domain}",
    refusals.NoDkimKey: "{domain} has no other DKIM key for that: `dkim on` makes the first one",
    refusals.RotationUnderWay: "a new key of {domain} is being brought up: `dkim rotate --continue` goes on with it",
    refusals.LimitReached: "user {user} may have {limit} mailboxes, and no more fit",
    refusals.TooManyTargets: "a forward has at most {limit} targets: {source}",
    refusals.ForwardLoop: "mail would go round in a loop: {source} => {target}",
    refusals.StillOwnsDomains: "user {user} still owns {domains} domains: remove them or give them away first",
    refusals.LastRoot: "{user} is the last active root user",
    refusals.NoSuchAccount: "there is no external account {email}",
    refusals.PublishFailed: "DNS did not take the change of {name}: {reason}",
}


def in_words(refusal: Refusal) -> str:
    """What the administrator is told."""
    facts = {name: str(value) for name, value in refusal.facts.items()}
    if isinstance(refusal, refusals.BadInput):
        wanted = f" ({facts['reason']})" if "reason" in facts else ""
        return f"not a usable {facts.get('field', 'value')}{wanted}"
    if isinstance(refusal, refusals.AlreadyExists):
        return f"{' '.join(facts.values())} is there already"
    if isinstance(refusal, refusals.NothingStored) and "key" in facts:
        return f"there is no API key {facts['key']}"
    words = next((text for kind, text in _WORDS.items() if isinstance(refusal, kind)), None)
    return words.format_map(facts) if words else str(refusal)
