"""What each operation reads from ``params``, checked and made fit to be stored. Never asks the store.

The JSON type counts: nothing is taken for something else.
"""

import re
from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from mailsvc.core.addresses import foreign_address
from mailsvc.core.refusals import BadInput

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_NOT_A_HOST = re.compile(r"[\s/@]")

ENCRYPTIONS = ("Plain", "StartTLS", "TLS")


class Checked(fields.Field[Any]):
    """A parameter that ``rule`` gives back as it is kept, or refuses with a ValueError.

    ``kind`` and ``facts`` are its JSON Schema.
    """

    def __init__(self, rule: Callable[[Any], Any], kind: str, *, required: bool = False, **facts: Any) -> None:
        super().__init__(required=required, metadata={"type": kind, **facts})
        self._rule = rule

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        try:
            return self._rule(value)
        except (BadInput, ValueError):
            raise ValidationError("bad") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _encryption(value: Any) -> str:
    if not isinstance(value, str) or value not in ENCRYPTIONS:
        raise ValueError
    return value


def _port(value: Any) -> int:
    # A truth value is a whole number to Python, not to JSON.
    if type(value) is not int or not 0 <= value <= 65535:
        raise ValueError
    return value


def _text(longest: int, *, trimmed: bool) -> Callable[[Any], str]:
    def rule(value: Any) -> str:
        if not isinstance(value, str) or _CONTROL.search(value):
            raise ValueError
        text = value.strip() if trimmed else value
        if len(text) > longest:
            raise ValueError
        return text

    return rule


def _host(value: Any) -> str:
    host = _text(255, trimmed=True)(value)
    if _NOT_A_HOST.search(host):
        raise ValueError
    return host


def _recipient(value: Any) -> str:
    if not isinstance(value, str) or value != value.strip():
        raise ValueError
    foreign_address(value)
    return value


class Nothing(Schema):
    """A call without parameters of its own: whatever is sent is ignored."""

    class Meta:
        unknown = EXCLUDE


class Edit(Nothing):
    """In the page's order, which decides what the message names when several are wrong."""

    allow_selfsigned_certs = Checked(_flag, "boolean", description="The server's certificate is not checked.")
    encryption = Checked(_encryption, "string", enum=list(ENCRYPTIONS))
    from_email = Checked(_text(320, trimmed=True), "string", maxLength=320)
    password = Checked(_text(1024, trimmed=False), "string", maxLength=1024, description="An empty one removes it.")
    smtp_host = Checked(_host, "string", maxLength=255)
    smtp_port = Checked(_port, "integer", minimum=0, maximum=65535, description="0: the usual one.")
    username = Checked(_text(255, trimmed=True), "string", maxLength=255, description="Empty: no login.")


class Test(Nothing):
    """One address, and no list, no display name."""

    to = Checked(_recipient, "string", required=True, description="Who gets the message: one address.")
