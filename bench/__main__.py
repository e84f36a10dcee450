"""``python -m bench [PART...]``: measure, print the table, keep the figures.

Exit status 0 when everything asked for was measured (met or not), 1 when something could not be, 2 for wrong usage.
"""

import argparse
import importlib
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType

from bench import figures, machine
from bench.figures import Figure
from bench.ground import Ground, ground
from bench.processes import CannotMeasure

USUAL = ("memory", "start", "collect", "lists", "settings", "addmail", "lookups", "growth", "outgoing")
"""In this order, because the later parts load the product into this process, and memory is shared between processes."""

PARTS = (*USUAL, "milter", "mailhost", "workers")

TIME_LIMIT = 900
"""Seconds after which a run is given up."""


def main() -> int:
    """Run the parts that the command line names."""
    parts = _parts()
    signal.signal(signal.SIGTERM, _give_up)
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(TIME_LIMIT)
    begun, clock = datetime.now(UTC), time.monotonic()
    with ground() as base:
        facts = machine.facts(base.directory)
        measured, failures = _measure(base, parts)
    path = figures.keep(measured, facts, begun, time.monotonic() - clock)
    print("\n".join(f"{name}: {value}" for name, value in facts.items()), end="\n\n")
    print(figures.table(measured), end=f"\n\nkept in {path}\n")
    for failure in failures:
        print(f"NOT MEASURED  {failure}", file=sys.stderr)
    return 1 if failures else 0


def _parts() -> Sequence[str]:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure mailsvc: docs/performance.md.")
    names = f"{', '.join(PARTS)}; all but milter, mailhost and workers when none is named"
    parser.add_argument("part", nargs="*", metavar="PART", help=names)
    asked = parser.parse_args().part
    for part in asked:
        if part not in PARTS:
            parser.error(f"there is no part {part}: {', '.join(PARTS)}")
    return [part for part in PARTS if part in asked] or USUAL


def _measure(base: Ground, parts: Sequence[str]) -> tuple[list[Figure], list[str]]:
    """The figures of all parts, and a line for each part that could not be measured."""
    measured: list[Figure] = []
    failures: list[str] = []
    for part in parts:
        try:
            measured.extend(importlib.import_module(f"bench.{part}").measure(base))
        except CannotMeasure as failure:
            failures.append(f"{part}: {failure}")
    return measured, failures


def _give_up(number: int, _frame: FrameType | None) -> None:
    sys.exit(f"bench: given up ({signal.Signals(number).name})")


if __name__ == "__main__":
    sys.exit(main())
