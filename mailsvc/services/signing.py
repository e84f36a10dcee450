"""Which keys sign for a domain just now, and which addresses a login may write as, read from the servers' views."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, LargeBinary, bindparam, column, select, table

from mailsvc.core.addresses import Address
from mailsvc.services.dkim import seal_purpose
from mailsvc.services.ports import Ports

_SIGNING = table(
    "dkim_signing_key", column("domain"), column("selector"), column("algorithm"), column("private_key", LargeBinary)
)
_KEYS = (
    select(_SIGNING.c.domain, _SIGNING.c.selector, _SIGNING.c.algorithm, _SIGNING.c.private_key)
    .where(_SIGNING.c.domain == bindparam("domain"))
    .order_by(_SIGNING.c.selector)
)

_SENDERS = table("postfix_sender_login", column("address"), column("login"))
_LOGINS = select(_SENDERS.c.login).where(_SENDERS.c.address == bindparam("address"))
_MAILBOXES = table("postfix_mailbox", column("address"))
_IS_MAILBOX = select(_MAILBOXES.c.address).where(_MAILBOXES.c.address == bindparam("address"))


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key that signs now, as it is stored. ``algorithm`` is ``rsa`` or ``ed25519``."""

    domain: str
    selector: str
    algorithm: str
    sealed: bytes

    def opened(self, ports: Ports) -> bytes:
        """The private key, PKCS#8 PEM. Raises mailsvc.vault.seals.CannotOpen."""
        return ports.seals.open(seal_purpose(self.domain, self.selector), self.sealed)


def keys(unit: Connection, domain: str) -> Sequence[SealedKey]:
    """Every key that signs for ``domain`` now; none while its record is not published."""
    return [SealedKey(*row) for row in unit.execute(_KEYS, {"domain": domain})]


def may_write_as(unit: Connection, login: str, address: Address) -> bool:
    """Whether ``login`` may send as ``address``: its own, one that forwards to it, and sub-addresses of these.

    As Postfix does for the envelope (smtpd_sender_login_maps): what is said of the whole address goes before what is
    said of it without its extension. A disabled mailbox is nobody's.
    """
    for asked in (address, address.without_extension):
        logins = unit.scalars(_LOGINS, {"address": str(asked)}).all()
        if logins or unit.scalar(_IS_MAILBOX, {"address": str(asked)}) is not None:
            return login in logins
    return False
