"""Addresses and domain names, made canonical in one place: lower case, A-labels (RFC 5890), no quoted local parts.

Everything stored, compared or shown has come through here. What a mailbox may be called is narrower than what mail
may be forwarded to, because a mailbox name becomes part of other programs' configuration and file names.
"""

import re
from dataclasses import dataclass

from mailsvc.core.refusals import BadInput
from mailsvc.core.texts import is_clean

ADDRESS_BYTES = 254
"""The longest address that fits a path of SMTP (RFC 5321, section 4.5.3.1.3, less the angle brackets)."""

_MAILBOX_LOCAL = re.compile(r"[a-z0-9._+-]{1,64}")
_ANY_LOCAL = re.compile(r"[a-z0-9._+\-=&'#~]{1,64}")
_BAD_DOTS = re.compile(r"^[.-]|\.$|\.\.")
# Not with the begin of an encoded word (RFC 2047), which has no place there and which programs decode all the same.
_FOREIGN_LOCAL = re.compile(r"(?!.*=\?)[^\s\"(),:;<>@\[\\\]]{1,64}")
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Address:
    """A canonical address. ``str()`` gives ``local@domain``."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def without_extension(self) -> "Address":
        """The address that mail for ``local+extension`` falls back to (Postfix ``recipient_delimiter = +``)."""
        base = self.local.split("+", 1)[0]
        return Address(base, self.domain) if base else self


def mailbox_address(text: str) -> Address:
    """The address of a mailbox to be made, from ``text``. Blanks around it and around the ``@`` are dropped.

    Local part: 1 to 64 of ``a-z 0-9 . _ + -``. Raises BadInput.
    """
    return _address(text, _MAILBOX_LOCAL)


def mail_address(text: str) -> Address:
    """An address that mail comes from or goes to: as ``mailbox_address``, and ``= & ' # ~`` too. Raises BadInput."""
    return _address(text, _ANY_LOCAL)


def foreign_address(text: str) -> str:
    """``text`` as the plain address of somebody anywhere, whom mail is sent to or in whose name.

    The local part stays as it is written (a dot-atom of RFC 5322, or of RFC 6531), the domain becomes A-labels; it may
    have one label only (``root@localhost``). Raises BadInput.
    """
    local, _, domain = text.strip(" ").rpartition("@")
    if not is_clean(text) or not _FOREIGN_LOCAL.fullmatch(local) or _BAD_DOTS.search(local.lstrip("-")):
        raise BadInput(field="address")
    name = domain.lower() if domain.isascii() else _a_labels(domain)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise BadInput(field="address")
    address = f"{local}@{name}"
    if len(address.encode()) > ADDRESS_BYTES:
        raise BadInput(field="address")
    return address


def named_address(text: str) -> tuple[str, str]:
    """Display name (may be empty) and address of ``a@b.example`` or ``Name <a@b.example>``. Raises BadInput."""
    name, address = name_and_address(text)
    if not is_clean(name):
        raise BadInput(field="address")
    return name, foreign_address(address)


def name_and_address(text: str) -> tuple[str, str]:
    """As ``named_address``, of any text, as it is written: what is not of that form is an address without a name."""
    match = _NAMED.fullmatch(text.strip(" "))
    if match is None:
        return "", text
    name = match["name"].strip(" ")
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return name, match["address"].strip(" ")


def domain_name(text: str) -> str:
    """The A-label form of the domain name ``text``; blanks around it and one trailing dot are dropped.

    Raises BadInput.
    """
    return _canonical_domain(text.strip(" ").removesuffix("."))


def _address(text: str, local_form: re.Pattern[str]) -> Address:
    local, at, domain = text.strip(" ").partition("@")
    local = local.rstrip(" ")
    # Only ASCII is lower-cased: U+212A lower-cases to "k" and would make two spellings of one address.
    if not at or not local.isascii():
        raise BadInput(field="address")
    local = local.lower()
    if not local_form.fullmatch(local) or _BAD_DOTS.search(local):
        raise BadInput(field="address")
    address = Address(local, _canonical_domain(domain.lstrip(" ")))
    if len(address.local) + 1 + len(address.domain) > ADDRESS_BYTES:
        raise BadInput(field="address")
    return address


def _canonical_domain(text: str) -> str:
    name = text.lower() if text.isascii() else _a_labels(text)
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadInput(field="domain")
    return name


def _a_labels(text: str) -> str:
    # Beyond this a name cannot be valid, and IDNA of a long text is slow.
    if len(text) > 253:
        raise BadInput(field="domain")
    import idna  # its tables cost 2 MiB, and most servers never see a Unicode name

    try:
        return idna.encode(text, uts46=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise BadInput(field="domain") from None
