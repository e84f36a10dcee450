"""What each operation reads from the fields, checked and made canonical. Never asks the store.

The fields are strict: what core refuses is a ValidationError, and so is any text that is not clean.
"""

import functools
from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from mailsvc.core.addresses import Address, domain_name, mail_address, mailbox_address
from mailsvc.core.passwords import checked_password
from mailsvc.core.quotas import quota_mib
from mailsvc.core.refusals import BadInput
from mailsvc.core.texts import is_clean

TRUE = frozenset({"1", "y", "yes", "on", "true"})
FALSE = frozenset({"0", "n", "no", "off", "false", ""})


class Text(fields.Field[Any]):
    """A field whose text ``rule`` turns into a value or refuses; ``meaning`` is what documents call it."""

    def __init__(self, rule: Callable[[str], Any], meaning: str, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "description": meaning}, **options)
        self._rule = rule

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        try:
            return self._rule(value)
        except BadInput:
            raise ValidationError("bad") from None


def _clean(rule: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.wraps(rule)
    def checked(text: str) -> Any:
        if not is_clean(text):
            raise BadInput(field="text")
        return rule(text)

    return checked


@_clean
def _targets(text: str) -> list[Address]:
    """The addresses of a comma-separated list, first place kept. Raises BadInput, also when nothing is left."""
    items = [item for item in (part.strip(" ") for part in text.split(",")) if item]
    if not items:
        raise BadInput(field="target")
    return list(dict.fromkeys(mail_address(item) for item in items))


@_clean
def _save_local(text: str) -> bool:
    word = text.strip(" ").lower()
    if word not in TRUE | FALSE:
        raise BadInput(field="save_local")
    return word in TRUE


class Nothing(Schema):
    """An operation without fields of its own."""

    class Meta:
        unknown = EXCLUDE


class AddMail(Nothing):
    """``password`` is the mailbox's, which identity has told from the caller's."""

    email = Text(_clean(mailbox_address), "Address of the mailbox.", required=True)
    password = Text(checked_password, "The mailbox's password: the last field of that name.", required=True)
    quota = Text(_clean(quota_mib), "MiB, 0 for unlimited.", required=True)


class DelMail(Nothing):
    """The page stars ``password`` and ``quota`` too; deleting needs neither."""

    email = Text(_clean(mail_address), "Address of the mailbox.", required=True)


class AddForward(Nothing):
    """``save_local`` absent is not the same as false."""

    source = Text(_clean(mail_address), "Address that is forwarded.", required=True)
    target = Text(_targets, "Addresses, divided by commas.", required=True)
    save_local = Text(_save_local, "Deliver to the mailbox of that address too: 1 or 0.")


class DelForward(Nothing):
    """Without ``target`` the whole rule goes."""

    source = Text(_clean(mail_address), "Address that is forwarded.", required=True)
    target = Text(_targets, "Addresses to take away; all without it.")


class OneDomain(Nothing):
    """SPF and DKIM switches."""

    domain = Text(_clean(domain_name), "Name of the domain.", required=True)
