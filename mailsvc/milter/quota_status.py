"""Asking Dovecot whether a message fits into mailboxes, through its ``quota-status`` service.

That speaks the protocol of Postfix's policy services (http://www.postfix.org/SMTPD_POLICY_README.html): lines of
name=value, an empty line, and an answer of the same form. It needs no privilege, and Dovecot's count is the one that
its own delivery goes by.
"""

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from config import TcpAddress, UnixAddress

SECONDS = 5.0
"""For all questions about one message. Each takes a millisecond or two."""

LONGEST = 4096
"""Bytes of one answer."""


@dataclass(frozen=True, slots=True)
class Room:
    """``full``: the mailboxes that the message does not fit into. ``unknown`` is why nothing is known of others, or
    None."""

    full: Sequence[str]
    unknown: str | None = None


def room(service: TcpAddress | UnixAddress, mailboxes: Sequence[str], size: int) -> Room:
    """Which of ``mailboxes`` have no room for ``size`` bytes. Raises nothing: what went wrong is in the answer."""
    full: list[str] = []
    deadline = time.monotonic() + SECONDS
    try:
        with _connected(service) as connection:
            for mailbox in mailboxes:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                action = _asked(connection, mailbox, size)
                if action.startswith("5"):
                    full.append(mailbox)
                elif action.split(" ")[0] not in ("DUNNO", "OK"):
                    return Room(full, f"Dovecot answers: {action[:100]}")
    except (OSError, ValueError) as error:
        return Room(full, f"Dovecot's quota-status at {service}: {getattr(error, 'strerror', None) or error}")
    return Room(full)


def _connected(service: TcpAddress | UnixAddress) -> socket.socket:
    if isinstance(service, TcpAddress):
        return socket.create_connection((service.host, service.port), timeout=SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(SECONDS)
        connection.connect(str(service.path))
    except OSError:
        connection.close()
        raise
    return connection


def _asked(connection: socket.socket, mailbox: str, size: int) -> str:
    # It answers in the state of RCPT only, whatever the true one is.
    fields = ("request=smtpd_access_policy", "protocol_state=RCPT", f"recipient={mailbox}", f"size={size}")
    connection.sendall("".join(f"{field}\n" for field in (*fields, "")).encode())
    answer = b""
    while not answer.endswith(b"\n\n"):
        piece = connection.recv(LONGEST)
        if not piece:
            raise ValueError("it closed the connection instead of answering")
        answer += piece
        if len(answer) > LONGEST:
            raise ValueError("its answer has no end")
    name, _, action = answer.decode("utf-8", "replace").strip().partition("=")
    if name != "action":
        raise ValueError("its answer is not one of a policy service")
    return action
