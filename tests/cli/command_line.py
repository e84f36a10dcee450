"""``python -m mailsvc``, run within the process of the tests: its own ``main``, arguments, streams and environment."""

import io
import json
import logging
import os
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

import config
from mailsvc import cli


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """What it said, having done what it was told."""
        assert (self.status, self.err) == (0, ""), self
        return self.out

    @property
    def rows(self) -> Any:
        """The same, as JSON."""
        return json.loads(self.text)

    @property
    def refusal(self) -> str:
        """The one clear line with which it refused."""
        assert (self.status, self.out) == (1, ""), self
        match = re.fullmatch(r"mailsvc: ([^\n]+)\n", self.err)
        assert match and match[1].isprintable(), self
        return match[1]

    @property
    def misuse(self) -> str:
        """What it said of a wrong command line."""
        assert (self.status, self.out) == (2, ""), self
        assert self.err.startswith("Usage: python -m mailsvc"), self
        return self.err


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Commands with these settings (names in the environment)."""

    environ: dict[str, str]

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        """Run one command to its end. Standard input is not a terminal."""
        out, err = io.StringIO(), io.StringIO()
        log = logging.getLogger()
        before = log.level, log.handlers[:]
        try:
            with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
                for name in [name for name in os.environ if name.startswith(config.PREFIX)]:
                    patch.delenv(name)
                for name, value in self.environ.items():
                    patch.setenv(name, value)
                patch.setattr("sys.argv", ["mailsvc", *arguments])
                patch.setattr("sys.stdin", io.StringIO(stdin))
                status = _status()
        finally:
            log.setLevel(before[0])
            log.handlers[:] = before[1]
        return Done(status, out.getvalue(), err.getvalue())

    def with_settings(self, **more: str) -> "CommandLine":
        """The same with more settings (names without the prefix)."""
        return CommandLine(self.environ | {config.PREFIX + name: value for name, value in more.items()})


def _status() -> int:
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    raise AssertionError("a command line that does not end")
