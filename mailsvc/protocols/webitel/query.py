"""The query string as Express reads it, as far as this wire asks it for anything: single texts only."""

import functools
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

from mailsvc.core.addresses import domain_name
from mailsvc.core.refusals import BadInput
from mailsvc.core.texts import is_clean

DOMAIN_SHOWN = 253

SECRET = frozenset({"access_token", "x_key"})


def read(query: str) -> Mapping[str, str]:
    """The fields that are sent once and as a text.

    A repeated one, and one with brackets after its name, would be a list or an object there: it counts as missing.
    """
    if not query:
        return {}
    if not query.isascii():
        # Bytes that nobody has coded, which WSGI gives as Latin-1 (PEP 3333).
        query = query.encode("latin-1", "replace").decode("utf-8", "replace")
    found: dict[str, str | None] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        plain = name.partition("[")[0]
        found[plain] = None if plain in found or plain != name else value
    return {name: value for name, value in found.items() if value is not None}


def domain(fields: Mapping[str, str]) -> tuple[str | None, bool]:
    """The domain that is named, in canonical form, and whether it has one; None when none is named."""
    sent = fields.get("domain", "").strip()
    # Longer ones are no names; what is remembered of them stays small.
    return _canonical(sent[: DOMAIN_SHOWN + 2]) if sent else (None, False)


@functools.lru_cache(maxsize=1024)
def _canonical(sent: str) -> tuple[str, bool]:
    try:
        return domain_name(sent), True
    except BadInput:
        # Nobody's: no domain has such a name. It is still said back.
        shown = sent[:DOMAIN_SHOWN]
        return shown if is_clean(shown) else "".join(one if one.isprintable() else "?" for one in shown), False


def without_secrets(query: str) -> str:
    """The query string with the credentials in it hidden, else as it was sent."""
    return "&".join(_hidden(part) for part in query.split("&"))


def _hidden(part: str) -> str:
    name, separator, _ = part.partition("=")
    secret = separator and unquote_plus(name).partition("[")[0] in SECRET
    return f"{name}=***" if secret else part
