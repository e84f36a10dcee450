"""Other programs, each run for a limited time, and as the user that a server runs as when root asks."""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

LIMIT = 10.0
"""Seconds that any one question may take; a look-up takes hundredths of one."""

_PATH = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"])

NOT_ENDED = 124
"""The status of a program that was stopped because its time was over, as timeout(1) has it."""


class Done(NamedTuple):
    """How a program ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def cause(self) -> str:
        """The last thing that it complained of, in one line."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return " ".join(lines[-1].split())[-300:] if lines else f"exit status {self.status}"


def where(name: str) -> str | None:
    """The path of a program, or None where it is not installed."""
    return shutil.which(name, path=_PATH)


def is_root() -> bool:
    """Whether other users can be taken on."""
    return os.geteuid() == 0


def is_known(user: str) -> bool:
    """Whether the machine has that user."""
    return any(entry.pw_name == user for entry in pwd.getpwall())


def groups_of(user: str) -> set[str]:
    """The names of all groups of a user, as a server that starts now would have them."""
    numbers = os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    return {entry.gr_name for entry in grp.getgrall() if entry.gr_gid in numbers}


def run(*arguments: str, user: str | None = None) -> Done:
    """Run a program to its end, as ``user`` if root asks."""
    account = pwd.getpwnam(user) if user is not None and is_root() else None
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid) if account else None,
        )
    except subprocess.TimeoutExpired:
        return Done(NOT_ENDED, "", f"no answer within {LIMIT:.0f} seconds")
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def acting_as(user: str) -> Iterator[None]:
    """Within the block root has the rights of ``user`` only, on files and sockets; whoever is not root has his own."""
    if not is_root():
        yield
        return
    account, group, groups = pwd.getpwnam(user), os.getegid(), os.getgroups()
    os.setgroups(os.getgrouplist(user, account.pw_gid))
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
