"""SPF texts (RFC 7208) read into terms."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

VERSION = "v=spf1"

LOOK_UPS = 10
"""The most terms that need DNS which a receiver follows in all (section 4.6.4); one more, and the check fails."""

VOIDS = 2
"""The most terms for which DNS may hold nothing at all (section 4.6.4); one more, and the check fails."""

ASKING = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
"""The terms that need DNS (section 4.6.4)."""

_MECHANISM = re.compile(
    r"([-+~?]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::([^/]+(?:/[^/]*%\{[^}]*\}[^/]*)*))?((?:/.*)?)"
)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_CIDR = re.compile(r"(?:/(\d{1,2}))?(?://(\d{1,3}))?", re.ASCII)


class SpfError(ValueError):
    """A text that every receiver fails to read (section 4.6). One clear line."""


class Term(NamedTuple):
    """A mechanism or the modifier ``redirect``. ``target`` is the domain named, empty for the one that is checked;
    ``network`` is an ip4's or ip6's; the prefixes are those of ``a`` and ``mx`` for IPv4 and IPv6."""

    qualifier: str
    name: str
    target: str
    network: IPv4Network | IPv6Network | None
    prefixes: tuple[int, int]


def is_spf(text: str) -> bool:
    """Whether a TXT record is an SPF record (section 4.5)."""
    return text.lower().split(" ", 1)[0] == VERSION


def terms(text: str) -> list[Term]:
    """The terms of an SPF text; without ``redirect`` when there is an ``all`` (section 6.1). Raises SpfError."""
    found = [term for word in text.split(" ")[1:] if word and (term := _term(word)) is not None]
    if [term.name for term in found].count("redirect") > 1:
        raise SpfError("it has more than one redirect")
    if any(term.name == "all" for term in found):
        return [term for term in found if term.name != "redirect"]
    return found


def _term(word: str) -> Term | None:
    match = _MECHANISM.fullmatch(word.lower())
    if match is not None:
        return _mechanism(word, *match.groups())
    modifier = _MODIFIER.fullmatch(word)
    if modifier is None:
        raise SpfError(f"no receiver understands {word!r}")
    # Unknown modifiers are passed over (section 6).
    return Term("+", "redirect", modifier[2].lower(), None, (32, 128)) if modifier[1].lower() == "redirect" else None


def _mechanism(word: str, qualifier: str, name: str, target: str | None, slash: str) -> Term:
    qualifier = qualifier or "+"
    if name in ("ip4", "ip6"):
        return Term(qualifier, name, "", _network(word, name, f"{target or ''}{slash}"), (32, 128))
    if (name in ("include", "exists")) != bool(target) and name not in ("a", "mx", "ptr"):
        raise SpfError(f"no receiver understands {word!r}")
    match = _CIDR.fullmatch(slash)
    if match is None or (slash and name not in ("a", "mx")):
        raise SpfError(f"no receiver understands {word!r}")
    prefixes = int(match[1] or 32), int(match[2] or 128)
    if prefixes[0] > 32 or prefixes[1] > 128:
        raise SpfError(f"no receiver understands {word!r}")
    return Term(qualifier, name, target or "", None, prefixes)


def _network(word: str, name: str, text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise SpfError(f"no receiver understands {word!r}") from None
    if network.version != int(name[2]):
        raise SpfError(f"no receiver understands {word!r}")
    return network
