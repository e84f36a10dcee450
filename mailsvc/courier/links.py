"""Opening a line to a foreign mail server, within time limits and past the forbidden networks."""

import time
from dataclasses import dataclass

from mailsvc.core.mail_accounts import TLS, MailServer
from mailsvc.courier.failures import BAD_PORT, NO_HOST, Failure
from mailsvc.courier.targets import Targets
from mailsvc.courier.tls import client_context
from mailsvc.courier.wire import Wire

LOGIN_BYTES = 1024 * 1024
"""What a server may send up to the end of the login; real ones need a few thousand bytes."""


@dataclass(frozen=True, slots=True)
class Links:
    """How lines are opened: whom one may call, whether certificates count, seconds to connect and to log in."""

    targets: Targets
    verify: bool
    connect_seconds: float
    login_seconds: float

    def open(self, server: MailServer) -> Wire:
        """A line to ``server``, under TLS if it begins with that; its greeting must come within the same time limit,
        and no more than LOGIN_BYTES until the line's ``most`` is lifted.

        Raises Failure, and what Targets.connect and the TLS handshake raise.
        """
        refuse_unusable(server)
        deadline = time.monotonic() + self.connect_seconds
        wire = Wire(self.targets.connect(server.host, server.port, self.connect_seconds), deadline)
        wire.most = LOGIN_BYTES
        try:
            if server.encryption == TLS:
                self.secure(wire, server)
        except BaseException:
            wire.close()
            raise
        return wire

    def secure(self, wire: Wire, server: MailServer) -> None:
        """Go on under TLS, within what is left of the time. Raises ssl.SSLError, TimeoutError."""
        wire.secure(client_context(verify=self.verify), server.host)


def refuse_unusable(server: MailServer) -> None:
    """Raises Failure if there is no such host name or port on earth."""
    if not server.host.strip():
        raise Failure(NO_HOST)
    if not 1 <= server.port <= 65535:
        raise Failure(BAD_PORT)
