"""What foreign servers say, made fit to be shown: they may echo secrets, and they may be hostile."""

import base64
import binascii
import re
from typing import NamedTuple

SHOWN = 300
"""Characters of a server's text that are shown."""

HIDDEN = "***"

_BASE64 = re.compile(r"[A-Za-z0-9+/]{2,}={0,2}")


class Reply(NamedTuple):
    """A reply of SMTP (RFC 5321, section 4.2): its code, its text with the lines joined by blanks, and its lines."""

    code: int
    text: str
    lines: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Code and text as the server sent them."""
        return f"{self.code} {self.text}".rstrip()

    @property
    def is_positive(self) -> bool:
        """Whether what was asked for is done (2yz)."""
        return 200 <= self.code <= 299


def shown(text: str, secret: str | None) -> str:
    """``text`` as one printable line of at most SHOWN characters; ``secret`` becomes ``***``, also in base64, alone or
    together with a user name as AUTH PLAIN sends it.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if secret:
        line = _hidden(line, secret)
    return line[:SHOWN]


def _hidden(line: str, secret: str) -> str:
    encoded = secret.encode("utf-8", "surrogatepass")
    line = _BASE64.sub(lambda match: HIDDEN if encoded in _decoded(match[0]) else match[0], line)
    # As the line shows it, too: without what is not printable, blanks joined.
    visible = " ".join("".join(letter if letter.isprintable() else " " for letter in secret).split())
    # As IMAP sends it, and others write it (RFC 3501, section 4.3).
    forms = {secret, visible} | {quoted(form) for form in (secret, visible)}
    for form in sorted(forms - {""}, key=len, reverse=True):
        line = re.sub(re.escape(form), lambda _: HIDDEN, line, flags=re.IGNORECASE)
    return line


def quoted(text: str) -> str:
    """``text`` as it stands between the quotes of a quoted string."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _decoded(word: str) -> bytes:
    """What ``word`` is the base64 of, whether or not its end was cut off."""
    whole = word.rstrip("=")
    whole = whole[: len(whole) - (len(whole) % 4 == 1)]
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4))
    except binascii.Error:
        return b""
