"""Other processes at work on the database of a test."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import config

PORTS = """
import sys
import config
from flask import Flask
from mailsvc.services.ports import open_ports

ports = open_ports(Flask("mailsvc"), config.load())
"""
"""How a program begins that works through the ports."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running Python program that is spoken with line by line. Its errors are shown with those of the test."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line it prints, without its end; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def lines(self) -> list[str]:
        """All that it prints until it ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read().splitlines()

    def tell(self, line: str = "") -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as a power cut would: it gets no chance to do anything."""
        self.process.kill()
        self.process.wait()

    def status(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self.process.wait(timeout=60)


@contextmanager
def child(settings: config.Settings, program: str, *arguments: str) -> Iterator[Child]:
    """A Python process that runs ``program`` with these settings; killed at the end of the block if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=config.ROOT,
        env=_environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def _environment(settings: config.Settings) -> dict[str, str]:
    given = {"DATA_DIR": str(settings.data_dir), "HOSTNAME": settings.hostname, "SPF": settings.spf}
    if settings.database_url is not None:
        given["DATABASE_URL"] = settings.database_url
    return {f"MAILSVC_{name}": value for name, value in given.items()}
