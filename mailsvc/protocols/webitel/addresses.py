"""Addresses as this wire writes them: senders with or without a name, recipients one by one, in a list, in a text."""

from collections.abc import Sequence
from typing import Any

from mailsvc.core.addresses import foreign_address, named_address
from mailsvc.core.refusals import BadInput


def plain(text: str) -> str | None:
    """The address that ``text`` is, its domain in A-labels; None when it is none."""
    try:
        return foreign_address(text)
    except BadInput:
        return None


def recipients(sent: Any) -> Sequence[str]:
    """The plain addresses in a text with commas or in a list of texts, each once; whatever else is there is dropped."""
    texts = sent if isinstance(sent, list) else [sent]
    items = [item for text in texts if isinstance(text, str) for item in text.split(",")]
    return list(dict.fromkeys(address for item in items if (address := plain(item)) is not None))


def sender(sent: Any) -> tuple[str, str] | None:
    """Address and name (which may be empty) of ``a@b`` or ``Name <a@b>``, or None."""
    try:
        name, address = named_address(sent) if isinstance(sent, str) else ("", "")
    except BadInput:
        return None
    return (address, name) if address else None
