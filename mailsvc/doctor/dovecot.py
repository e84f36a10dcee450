"""Dovecot's look-ups, by doveadm, answered by the running processes; and its verdicts about quotas."""

import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, absent, failed, ok
from mailsvc.doctor.machine import Machine
from mailsvc.doctor.programs import Done
from mailsvc.doctor.samples import Mailbox, Samples
from mailsvc.mailhost.homes import home
from mailsvc.mailhost.layout import Layout

_RESTART = "systemctl restart dovecot"


def examine(machine: Machine, layout: Layout, samples: Samples) -> Iterator[Finding]:
    """Logins and homes, then quotas."""
    doveadm = programs.where("doveadm")
    if doveadm is None:
        yield absent("Dovecot", "not installed")
        return
    mailbox = samples.mailbox()
    if mailbox is None:
        yield absent("mailbox", "there is no mailbox that lets in, so Dovecot cannot be asked about one")
        return
    ask = (doveadm, "-c", str(machine.dovecot))
    known = programs.run(*ask, "user", mailbox.address)
    if known.status:
        yield failed("Dovecot user", *_cause(known, layout))
        return
    yield from _user(machine, samples, mailbox, known)
    yield _login(mailbox, programs.run(*ask, "auth", "lookup", mailbox.address), layout)
    if not programs.run(*ask, "auth", "test", mailbox.address, secrets.token_urlsafe()).status:
        local = layout.dovecot_local
        cause = f"{mailbox.address} is let in with a password made up just now: {local} has a passdb that asks for none"
        yield failed("Dovecot password", cause, f"mv {local} {local}.away && {_RESTART}")
    limited = samples.mailbox(limited=True)
    if limited is None:
        yield absent("quota", "no mailbox has a quota")
        return
    yield from _limit(ask, limited, samples)
    yield from quota_status(layout, limited)


def _user(machine: Machine, samples: Samples, mailbox: Mailbox, known: Done) -> Iterator[Finding]:
    expected = str(home(machine.settings.mail_root, mailbox.incarnation))
    if _fields(known).get("home") == expected:
        yield ok("Dovecot user", f"{mailbox.address} is known, with its home")
    elif samples.mailbox() == mailbox:
        found = _fields(known).get("home", "nothing")
        cause = f"the home of {mailbox.address} is {found}, must be {expected}: another database, or an old query"
        yield failed("Dovecot user", cause, "doveadm reload")


def _login(mailbox: Mailbox, done: Done, layout: Layout) -> Finding:
    # What else it says may hold the password's hash, and goes nowhere.
    if done.status == 0 and mailbox.address in done.out:
        return ok("Dovecot login", f"{mailbox.address} can log in")
    cause, mend = _cause(Done(done.status, "", done.err), layout)
    return failed("Dovecot login", cause, mend)


def _limit(ask: tuple[str, ...], limited: Mailbox, samples: Samples) -> Iterator[Finding]:
    fields = _fields(programs.run(*ask, "user", limited.address))
    found = fields.get("quota_rule", "").rpartition("=")[2] or fields.get("quota_storage_size", "").rstrip("B")
    if found == str(limited.quota_bytes):
        yield ok("quota", f"that of {limited.address} is known, {limited.quota_bytes // 1048576} MiB")
    elif limited == samples.mailbox(limited=True):
        cause = f"Dovecot knows {found or 'none'} of {limited.address}, the database says {limited.quota_bytes} bytes"
        yield failed("quota", cause, "doveadm reload")


def quota_status(layout: Layout, limited: Mailbox) -> Iterator[Finding]:
    """What Postfix, as its own user, and the milter are told of a message that is too large for a mailbox."""
    path = Path(layout.queue) / "private/quota-status"
    if programs.is_known(layout.postfix_user):
        yield _verdict("quota-status of Postfix", str(path), layout, limited)
    if layout.milter:
        yield _verdict("quota-status of the filter", layout.quota_status, layout, limited)


def _verdict(check: str, address: str, layout: Layout, limited: Mailbox) -> Finding:
    try:
        answer = _asked(address, layout.postfix_user, limited)
    except OSError as error:
        return failed(check, f"{address} does not answer: {error.strerror or error}", _RESTART)
    if answer.startswith("action=552"):
        return ok(check, f"a message too large for {limited.address} is refused")
    cause = f"{answer or 'nothing'} for a message too large for {limited.address}: a full mailbox would bounce"
    return failed(check, cause, f"sed -i /quota_status/d {layout.dovecot_local} && doveadm reload")


def _asked(address: str, user: str, limited: Mailbox) -> str:
    """The answer, in Postfix's policy protocol, to whether there is room for more than the whole quota."""
    request = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP",
        "recipient": limited.address, "size": str(limited.quota_bytes + 1048576),
    }  # fmt: skip
    with _connected(address, user) as connection:
        connection.sendall("".join(f"{name}={value}\n" for name, value in request.items()).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()


def _connected(address: str, user: str) -> socket.socket:
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=programs.LIMIT)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(programs.LIMIT)
    try:
        # Nothing else: Python itself may be where that user cannot read it.
        with programs.acting_as(user):
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _fields(done: Done) -> dict[str, str]:
    """The fields of a user, from doveadm's table of them."""
    lines = (line.split(None, 1) for line in done.out.splitlines())
    return {parts[0]: parts[1].strip() for parts in lines if len(parts) == 2}


def _cause(done: Done, layout: Layout) -> tuple[str, str]:
    """Why a look-up failed, and what mends it."""
    if "connect(" in done.err or "net_connect" in done.err:
        return f"it does not run: {done.cause}", "systemctl start dovecot"
    if "configuration" in done.err:
        render = f"mailsvc mailhost render {layout.directory} && {_RESTART}"
        return f"it cannot read its configuration: {done.cause}", render
    if "doesn't exist" in done.err or "not found" in done.err:
        return f"{done.cause}: it reads another database than this one", "doveadm reload"
    reason = f"{done.cause}: its auth-worker cannot read the database (group {layout.read_group}, -wal and -shm)"
    return reason, f"systemctl restart mailsvc && {_RESTART}"
