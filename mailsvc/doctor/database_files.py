"""The SQLite file, its companions, and the directories, as mailsvc.store.files arranges them for other users."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, failed, ok, warning
from mailsvc.doctor.machine import Machine
from mailsvc.mailhost.layout import Layout
from mailsvc.store import files

START = "systemctl restart mailsvc"
"""mailsvc makes and mends these files when it starts, and again when it stops."""

READERS = (("postfix", "postfix"), ("dovecot", "dovecot"), ("pdns_server", "pdns"))
"""Programs that keep the database open, and their units."""


def reopen() -> str:
    """The command that makes every process open the database anew. None may keep what it had: with two ``-shm`` files
    nobody sees what the others write."""
    readers = [unit for program, unit in READERS if programs.where(program)]
    collects = programs.where("systemctl") and not programs.run("systemctl", "is-enabled", "mailsvc-collect").status
    units = ["mailsvc", "mailsvc-milter", *(["mailsvc-collect"] if collects else []), *readers]
    return f"systemctl stop {' '.join(reversed(units))}; systemctl start {' '.join(units)}"


def examine(machine: Machine, database: Path, layout: Layout) -> Iterator[Finding]:
    """Every file and directory that mail depends on."""
    group = layout.read_group
    if not _is_group(group):
        yield failed("group", f"there is no group {group}, as which the servers read", f"groupadd --system {group}")
        return
    if not database.parent.is_dir():
        yield failed("data directory", f"{database.parent} is not there", START)
        return
    owner = _owner(database, machine.settings.key_file)
    faults = [*_directory(database.parent, group, owner), *_files(database, group, owner), *_keys(machine, owner)]
    yield from faults
    if not faults:
        yield ok("database files", f"{database}, -wal and -shm have their modes, and group {group}")
    yield from _mail_root(machine.settings.mail_root, layout)
    if programs.where("dovecot") and not Path(layout.last_login).exists():
        table = f"{layout.directory}/last-login.sql"
        make = f"runuser -u dovecot -- sqlite3 {layout.last_login} < {table}"
        yield warning("last logins", f"{layout.last_login} is not there: Dovecot cannot note when users log in", make)


def can_be_read(database: Path) -> bool:
    """Whether look-ups can be tried: all three files are there, and a reader could not make any of them."""
    there = all(path.is_file() for path in (database, *files.companions(database)))
    return there and not database.parent.stat().st_mode & 0o022


def _is_group(name: str) -> bool:
    return any(entry.gr_name == name for entry in grp.getgrall())


def _owner(database: Path, key_file: Path) -> int:
    """Whom all of it must belong to: the directory's owner, unless what mailsvc made in it agrees on somebody else."""
    owners = {path.stat().st_uid for path in (database, key_file) if path.is_file()}
    return owners.pop() if len(owners) == 1 else database.parent.stat().st_uid


def _directory(directory: Path, group: str, owner: int) -> Iterator[Finding]:
    found = directory.stat()
    if found.st_uid != owner:
        cause = f"{directory} belongs to {_user(found.st_uid)}, what is in it to {_user(owner)}: mailsvc cannot start"
        # Changing the owner may take the setgid bit away.
        yield failed("data directory", cause, f"chown {_user(owner)} {directory} && chmod 2750 {directory}")
    yield from _group(directory, found, group, "data directory")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o022:
        why = "a reader could make files in it that mailsvc cannot write"
        yield failed("data directory", f"{directory} is {mode:04o}: {why}", f"chmod 2750 {directory}")
    elif mode & 0o050 != 0o050:
        yield failed("data directory", f"{directory} is {mode:04o}: its group cannot enter", f"chmod 2750 {directory}")
    elif not mode & stat.S_ISGID:
        why = "new files do not get its group"
        yield failed("data directory", f"{directory} is {mode:04o}: {why}", f"chmod 2750 {directory}")
    elif mode & 0o007:
        yield failed("data directory", f"{directory} is {mode:04o}: open to everybody", f"chmod 2750 {directory}")


def _files(database: Path, group: str, owner: int) -> Iterator[Finding]:
    if not database.is_file():
        yield failed("database", f"{database} is not there: no server finds anybody", START)
        return
    log, shared_index = files.companions(database)
    for path, mode in ((database, files.DATABASE_MODE), (log, files.DATABASE_MODE),
                       (shared_index, files.SHARED_INDEX_MODE)):  # fmt: skip
        check = "database" if path == database else path.name.rpartition("-")[2]
        kept = [] if path == database else _kept_open(path)
        try:
            found = path.stat()
        except FileNotFoundError:
            cause = f"{path} is missing: the servers cannot open the database"
            rescue = ""
            if path == log and kept:
                cause += "; a process still has it, with the latest changes"
                rescue = f"cp {kept[0]} {path} && chown --reference={database} {path} && chmod {mode:04o} {path} && "
            yield failed(f"-{check}", cause, rescue + reopen())
            continue
        if kept:
            cause = f"{path} was removed and made anew: {len(kept)} open files are the old one, and miss all changes"
            yield failed(f"-{check}", cause, reopen())
        yield from _group(path, found, group, check)
        if stat.S_IMODE(found.st_mode) != mode:
            has = f"{path} is {stat.S_IMODE(found.st_mode):04o}, must be {mode:04o}"
            yield failed(check, has, f"chmod {mode:04o} {path}")
        if found.st_uid != owner:
            name = _user(owner)
            yield failed(check, f"{path} belongs to {_user(found.st_uid)}, must to {name}", f"chown {name} {path}")


def _kept_open(path: Path) -> list[str]:
    """Where processes still have a file that was at ``path``, was removed, and is another one than is there now."""
    gone, now = Path(f"{path} (deleted)"), path.stat().st_ino if path.exists() else None
    kept: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        # It may end at any moment, or be another user's.
        with suppress(OSError):
            files_open = (process / "fd").iterdir()
            kept += [str(one) for one in files_open if one.readlink() == gone and one.stat().st_ino != now]
    return kept


def _group(path: Path, found: os.stat_result, group: str, check: str) -> Iterator[Finding]:
    if found.st_gid != grp.getgrnam(group).gr_gid:
        has = next((entry.gr_name for entry in grp.getgrall() if entry.gr_gid == found.st_gid), str(found.st_gid))
        # Changing the group takes the setgid bit of a directory away.
        again = f" && chmod 2750 {path}" if stat.S_ISDIR(found.st_mode) else ""
        cause = f"{path} has group {has}, must have {group}: its members cannot read"
        yield failed(check, cause, f"chgrp {group} {path}{again}")


def _keys(machine: Machine, owner: int) -> Iterator[Finding]:
    path = machine.settings.key_file
    try:
        found = path.stat()
    except FileNotFoundError:
        yield failed("secret.keys", f"{path} is missing: no sealed key opens", "restore it from where you keep it")
        return
    if found.st_mode & 0o077:
        has = f"{path} is {stat.S_IMODE(found.st_mode):04o}: others can read the sealing keys"
        yield failed("secret.keys", has, f"chmod 0600 {path}")
    if found.st_uid != owner:
        name = _user(owner)
        yield failed("secret.keys", f"{path} belongs to {_user(found.st_uid)}", f"chown {name} {path}")


def _mail_root(root: Path, layout: Layout) -> Iterator[Finding]:
    user, group = layout.mail_user, layout.mail_group
    if not programs.is_known(user):
        yield failed("mail root", f"there is no user {user}, whom all mail belongs to", f"useradd --system {user}")
        return
    make = f"install --directory --owner={user} --group={group} --mode=0700 {root}"
    try:
        found = root.stat()
    except FileNotFoundError:
        yield failed("mail root", f"{root} is not there: nothing can be delivered", make)
        return
    if found.st_uid != pwd.getpwnam(user).pw_uid:
        yield failed("mail root", f"{root} belongs to {_user(found.st_uid)}, must to {user}", make)
    else:
        yield ok("mail root", f"{root} belongs to {user}")


def _user(number: int) -> str:
    return next((entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == number), str(number))
