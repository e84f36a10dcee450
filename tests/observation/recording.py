"""What the application logs within a block, as the service's own formatter writes it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mailsvc.observation.logs import JsonLines


@dataclass(frozen=True, slots=True)
class Recording:
    """The lines so far."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def text(self) -> str:
        """All of it, as it would stand in the log file."""
        return self.stream.getvalue()

    def lines(self) -> list[str]:
        """One by one, without their ends."""
        return self.text.splitlines()

    def parsed(self, logger: str = "") -> list[dict[str, Any]]:
        """The JSON objects of the lines of one logger, or of all."""
        every: list[dict[str, Any]] = [json.loads(line) for line in self.lines()]
        return [line for line in every if line["logger"].startswith(logger)]

    def requests(self) -> list[dict[str, Any]]:
        """The lines about whole requests."""
        return self.parsed("mailsvc.request")


@contextmanager
def recorded(formatter: logging.Formatter | None = None) -> Iterator[Recording]:
    """Record every line of mailsvc from the level that the service logs at; as JSON unless said otherwise."""
    recording = Recording()
    handler = logging.StreamHandler(recording.stream)
    handler.setFormatter(formatter or JsonLines())
    log = logging.getLogger("mailsvc")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield recording
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
