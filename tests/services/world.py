"""A DNS back-end whose world is a directory, and which can be told what goes wrong on the way."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mailsvc.core.dns_records import TxtRecord
from mailsvc.core.refusals import PublishFailed


def nothing() -> None:
    """What usually comes in between."""


def fail() -> None:
    """The back-end refuses, or its answer is lost."""
    raise PublishFailed(name="the record", reason="the back-end is down")


@dataclass
class World:
    """A Publisher whose records are files, so that they outlive the process.

    ``script`` has for each of the next calls what happens before it takes effect, and after.
    """

    directory: Path
    script: list[tuple[Callable[[], object], Callable[[], object]]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def publish(self, record: TxtRecord) -> None:
        """As promised: this record, and no other value of its name."""
        self._call("publish", record, lambda: self._show(record))

    def withdraw(self, record: TxtRecord) -> None:
        """As promised: exactly this record."""
        self._call("withdraw", record, lambda: self._file(record).unlink(missing_ok=True))

    @property
    def shown(self) -> set[tuple[str, str]]:
        """What the world sees: names and values."""
        lines = [path.read_text().split("\n") for path in self.directory.iterdir()]
        return {(name, value) for name, value in lines}

    def _call(self, kind: str, record: TxtRecord, effect: Callable[[], None]) -> None:
        before, after = self.script.pop(0) if self.script else (nothing, nothing)
        self.calls.append(f"{kind} {record.value}")
        before()
        effect()
        after()

    def _show(self, record: TxtRecord) -> None:
        for path in self.directory.glob(f"{record.name}-*"):
            path.unlink()
        self._file(record).write_text(f"{record.name}\n{record.value}")

    def _file(self, record: TxtRecord) -> Path:
        return self.directory / f"{record.name}-{hashlib.sha256(record.value.encode()).hexdigest()}"
