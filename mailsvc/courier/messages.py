"""Messages that mailsvc itself writes, by RFC 5322 and MIME."""

import secrets
import time
from collections.abc import Sequence
from email.charset import Charset
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import repeat
from typing import TYPE_CHECKING

from mailsvc.courier.smtp import Message
from mailsvc.store.types import now

if TYPE_CHECKING:
    from email.headerregistry import Address

LINE = 78
"""Characters of a line that is not folded (RFC 5322, section 2.1.1)."""

ENCODED_WORD = 72
"""The most characters of an encoded word (RFC 2047, section 2), after ``From: `` too."""


def compose(
    *,
    sender: str,
    sender_name: str = "",
    recipients: Sequence[str],
    subject: str,
    text: str,
    html: str | None = None,
    automatic: bool = False,
) -> EmailMessage:
    """A message with Date and Message-ID in the sender's domain; ``automatic`` marks it by RFC 3834.

    ``sender`` and ``recipients`` are as core.addresses.foreign_address gives them. Raises ValueError for line ends in
    what becomes a header.
    """
    # Loaded by the first message: half a megabyte, and most services never write one.
    from email.policy import SMTP, SMTPUTF8

    unicode = not all(address.isascii() for address in (sender, *recipients))
    # What comes folded, stays as it is.
    message = EmailMessage(policy=(SMTPUTF8 if unicode else SMTP).clone(refold_source="none"))
    message["Subject"] = subject
    message.set_raw("From", _named(sender, sender_name))
    message["To"] = [_address(recipient) for recipient in recipients]
    message["Date"] = format_datetime(now())
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = f"<{time.time_ns() // 1_000_000}.{secrets.token_hex(4)}@{domain}>"
    if automatic:
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(text, cte="quoted-printable")
    if html is not None:
        message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message


def _address(addr_spec: str, name: str = "") -> "Address":
    from email.headerregistry import Address

    local, _, domain = addr_spec.rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def _named(addr_spec: str, name: str) -> str:
    """The folded text of a From header. Raises ValueError for line ends.

    EmailMessage would read the name as a header first: it decodes encoded words that stand in it, with the line ends
    they hide, and a long name loses its quotes while it is folded.
    """
    plain = str(_address(addr_spec, name))
    is_text = name.isascii() and name.isprintable() and "=?" not in name
    if not name or (is_text and len(f"From: {plain}") <= LINE):
        return plain
    words = Charset("utf-8").header_encode_lines(name, repeat(ENCODED_WORD))
    return "\r\n ".join([*filter(None, words), f"<{addr_spec}>"])


def message_id(message: EmailMessage) -> str:
    """The Message-ID without its angle brackets."""
    return str(message["Message-ID"]).strip("<>")


def as_sent(message: EmailMessage) -> bytes:
    """The bytes that go over the wire, lines ended by CRLF."""
    return message.as_bytes()


def to_send(message: EmailMessage) -> Message:
    """``message`` in the envelope that its own headers say."""
    sender: str = message["From"].addresses[0].addr_spec
    recipients: list[str] = [address.addr_spec for address in message["To"].addresses]
    return Message(sender, recipients, as_sent(message))
