"""Publishing through include files: ``<domain>.zone`` holds our records of one domain (RFC 1035, section 5).

The operator's zone file has a line ``$INCLUDE "/that/directory/<domain>.zone"``. A name server looks at an included
file only when it reloads the zone, so the ``zonefile_reload`` command runs after every change. (NSD compares the time
stamp of the main file alone: a reload command for it has to touch that file first.) A command that ends with status 0
is taken at its word.

A file is ASCII, each line ended by a line feed: comment lines, the first of which begins with ``; mailsvc``, then one
``TxtRecord.zone_line`` a line, sorted. A file that holds anything else is not ours to change. A file once made never
vanishes, because a zone with an ``$INCLUDE`` of a missing file is not loaded at all.

What the operator's own zone file says is unknown here: a second SPF record in it is not noticed.
"""

import fcntl
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import config
from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed
from mailsvc.dns import TIME_LIMIT

SHOWN = 200
"""How many characters of the reload command's output a refusal repeats."""

MARK = "; mailsvc"

_HEADER = (
    MARK + " writes this file: the SPF and DKIM records of {domain}.\n"
    "; Edits are lost with the next change. Other records belong into the file that includes this one.\n"
)
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)*")
_LINE = re.compile(
    r"(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\. (?P<ttl>[0-9]{1,9}) IN TXT "
    r'(?P<content>"[ !#-\[\]-~]*"(?: "[ !#-\[\]-~]*")*)'
)


class _PublishError(Exception):
    """What stands in the way of the change, in clear words."""


class ZoneFiles:
    """A Publisher that keeps one include file for each domain, safely so in several processes and threads at once."""

    def __init__(self, settings: config.Settings, time_limit: float = TIME_LIMIT) -> None:
        """``settings`` name the directory and the reload command; ``time_limit`` is in seconds, for one change."""
        self._directory = settings.zonefile_dir or settings.data_dir / "zones"
        self._reload = settings.zonefile_reload
        self._time_limit = time_limit

    def publish(self, record: TxtRecord) -> None:
        """Put ``record`` into the file of its zone, in place of any other value for its name, and reload the zone.

        Returns once the reload command has succeeded. It runs also when the record was there already: a crash may have
        come in between. Raises PublishFailed; the file is then as it was before.
        """
        self._change(record, lambda records: [*(other for other in records if other.name != record.name), record])

    def withdraw(self, record: TxtRecord) -> None:
        """Take exactly ``record`` (name and value) out of the file of its zone, and reload the zone.

        Succeeds also when it was not there. Raises PublishFailed as ``publish`` does.
        """
        gone = (record.name, record.value)
        self._change(record, lambda records: [other for other in records if (other.name, other.value) != gone])

    def _change(self, record: TxtRecord, edit: Callable[[list[TxtRecord]], list[TxtRecord]]) -> None:
        expires = time.monotonic() + self._time_limit
        try:
            path = self._directory / _file_name(record)
            with _locked(self._directory, expires):
                before = _read(path)
                after = _text(record.zone, edit(_records(record.zone, path.name, before)))
                if after != before:
                    _write(path, after)
                self._reload_or_restore(record.zone, path, before, expires)
        except _PublishError as error:
            raise PublishFailed(name=record.name, reason=str(error)) from None
        except OSError as error:
            reason = f"the zone file of {record.zone} cannot be written: {error.strerror}"
            raise PublishFailed(name=record.name, reason=reason) from error

    def _reload_or_restore(self, domain: str, path: Path, before: str, expires: float) -> None:
        if self._reload is None:
            return
        try:
            _run(self._reload, domain, expires)
        except (_PublishError, OSError):
            _write(path, before or _text(domain, []))
            raise


def _file_name(record: TxtRecord) -> str:
    """The name of the include file. Raises _PublishError when a zone file could not give the record back as it is."""
    if not _DOMAIN.fullmatch(record.zone) or _parsed(record.zone, record.zone_line) != record:
        raise _PublishError("not a name that a zone file of this domain can hold")
    return f"{record.zone}.zone"


def _text(domain: str, records: Iterable[TxtRecord]) -> str:
    lines = sorted(record.zone_line + "\n" for record in records)
    return _HEADER.format(domain=domain) + "".join(lines)


def _records(domain: str, file_name: str, text: str) -> list[TxtRecord]:
    if text and not (text.startswith(MARK) and text.endswith("\n")):
        raise _PublishError(f"{file_name} was not written by mailsvc and is left alone")
    records = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        record = _parsed(domain, line)
        if record is not None:
            records.append(record)
        elif not line.startswith(";"):
            raise _PublishError(f"{file_name}, line {number}, was not written by mailsvc: the file is left alone")
    return records


def _parsed(domain: str, line: str) -> TxtRecord | None:
    """The record of one of our lines; None when it is any other line, or its name lies outside ``domain``."""
    match = _LINE.fullmatch(line)
    if match is None or not f".{match['name']}".endswith(f".{domain}"):
        return None
    record = TxtRecord.from_content(domain, match["name"], match["content"], int(match["ttl"]))
    return record if record.zone_line == line else None


@contextmanager
def _locked(directory: Path, expires: float) -> Iterator[None]:
    """Hold the directory (made when missing) against every other process and thread."""
    _make(directory)
    lock = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _own_like(directory, lock)
        while not _flocked(lock):
            if time.monotonic() >= expires:
                raise _PublishError("another change of the zone files is taking too long")
            time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def _flocked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(directory: Path) -> None:
    """The name server runs as another user and has to be able to read here, whatever our umask is."""
    try:
        directory.mkdir()
    except FileExistsError:
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fchmod(descriptor, 0o755)
        _own_like(directory.parent, descriptor)
    finally:
        os.close(descriptor)
    _sync(directory.parent)


def _own_like(directory: Path, descriptor: int) -> None:
    """A command run by root must not leave behind what the service's own user cannot open."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _read(path: Path) -> str:
    """The file's text, empty when there is no file."""
    try:
        return path.read_bytes().decode("ascii")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _PublishError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _PublishError(f"{path.name} was not written by mailsvc and is left alone") from None


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole: a reader sees the old text or the new one, also after a power cut."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    try:
        with draft.open("x", encoding="ascii", newline="\n") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(command: tuple[str, ...], domain: str, expires: float) -> None:
    """Run the reload command. Its output goes to a file: a pipe would stay open in a daemon that the command starts."""
    with tempfile.TemporaryFile() as output:
        process = _started([word.replace("{domain}", domain) for word in command], output)
        try:
            status = process.wait(max(0.0, expires - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise _PublishError("the reload command did not end in time") from None
        finally:
            _end(process)
        if status:
            raise _PublishError(f"the reload command ended with status {status}: {_first_line(output)}")


def _started(arguments: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(config.PREFIX)}
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=ours,  # our settings hold secrets that are none of its business
            start_new_session=True,
        )
    except OSError as error:
        raise _PublishError(f"the reload command cannot be started: {error.strerror}") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing running. What runs as another user (sudo) cannot be killed, and is not waited for."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)


def _first_line(output: IO[bytes]) -> str:
    output.seek(0)
    line = output.readline(4 * SHOWN).decode(errors="replace").strip()
    return "".join(character if character.isprintable() else "?" for character in line)[:SHOWN]
