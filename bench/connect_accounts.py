"""``python -m bench.connect_accounts OWNER DELIVER_TO IMAP_PORT PASSWORD``: saves an account of OWNER for every address
that it reads, one a line, on an IMAP server of this machine, without asking that."""

import sys

from mailsvc.cli.session import opened
from mailsvc.core.acts import Act
from mailsvc.core.mail_accounts import IMAP, LOGIN, PLAIN, SMTP, MailServer, Servers
from mailsvc.services import accounts, users
from mailsvc.services.accounts import Wanted


def main() -> None:
    """Save them."""
    owner, deliver_to, port, password = sys.argv[1:]
    with opened() as ports:
        with ports.store.reading() as unit:
            act = Act("bench", "connect", owner, users.named(unit, owner))
        for line in sys.stdin:
            address = line.strip()
            incoming = MailServer(IMAP, "127.0.0.1", int(port), address, PLAIN, LOGIN)
            outgoing = MailServer(SMTP, "127.0.0.1", 1, address, PLAIN, LOGIN)
            servers = Servers(incoming, outgoing)
            accounts.put(
                ports, act, Wanted(address, "", servers, password, password, restrict=False, deliver_to=deliver_to)
            )


if __name__ == "__main__":
    main()
