"""``doctor``, run as an administrator runs it, beside running servers."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailsvc.doctor.findings import FAILED, Finding
from tests.milter.filtered import FilteredHost


@dataclass(frozen=True, slots=True)
class Examined:
    """Examinations of one host. ``settings`` and ``options`` are in the place of those that fit it."""

    filtered: FilteredHost
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """What is below ``/`` on a machine of one's own."""
        return self.filtered.host.site.directory

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.filtered.host.site.database

    def line(self, *more: str) -> str:
        """The command."""
        ports, etc = self.filtered.host.site.ports, self.directory / "etc"
        options = {
            "mailhost": f"{etc}/mailsvc/mailhost",
            "postfix": f"{etc}/postfix",
            "dovecot": f"{etc}/dovecot/dovecot.conf",
            "dns": f"127.0.0.1:{ports.dns}",
        } | dict(self.options)
        settings = {
            "MAILSVC_MILTER_BIND": f"127.0.0.1:{ports.milter}",
            "MAILSVC_QUOTA_STATUS": f"127.0.0.1:{ports.quota_status}",
        } | dict(self.settings)
        words = [f"{name}={value}" for name, value in settings.items()]
        words += ["mailsvc", "doctor", *(f"--{name}={value}" for name, value in options.items()), *more]
        return " ".join(words)

    def findings(self) -> list[Finding]:
        """All of one examination, whose exit status must be what they say."""
        outcome = self.filtered.host.site.outcome(self.line("--json"))
        assert outcome.stdout, outcome
        findings = [Finding(**finding) for finding in json.loads(outcome.stdout)]
        assert outcome.returncode == (1 if any(one.verdict == FAILED for one in findings) else 0), outcome
        assert all(one.mend for one in findings if one.verdict == FAILED)
        return findings

    def failures(self) -> list[Finding]:
        """Those that failed."""
        return [one for one in self.findings() if one.verdict == FAILED]

    def failure(self) -> Finding:
        """The only one that failed."""
        [one] = self.failures()
        return one

    def others(self, verdict: str) -> dict[str, str]:
        """Check and text of those with one verdict."""
        return {one.check: one.text for one in self.findings() if one.verdict == verdict}


@contextmanager
def put_aside(path: Path) -> Iterator[None]:
    """Within the block there is no such file."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextmanager
def removed(path: Path) -> Iterator[None]:
    """Within the block a file is removed, and whoever has it open goes on with it."""
    kept = path.with_name(f"{path.name}.kept")
    kept.hardlink_to(path)
    path.unlink()
    try:
        yield
    finally:
        kept.replace(path)


@contextmanager
def changed(
    path: Path,
    *,
    mode: int | None = None,
    owner: int | None = None,
    group: int | None = None,
    text: str | None = None,
) -> Iterator[None]:
    """Within the block a file has another mode, owner, group or text."""
    before, content = path.stat(), path.read_bytes() if text is not None else b""
    try:
        if owner is not None or group is not None:
            os.chown(path, -1 if owner is None else owner, -1 if group is None else group)
        if mode is not None:
            path.chmod(mode)
        if text is not None:
            path.write_text(text)
        yield
    finally:
        if text is not None:
            path.write_bytes(content)
            os.utime(path, (0, 0))
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode & 0o7777)
