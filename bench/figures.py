"""What was measured: figures with their targets, shown as a table and kept as JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A target that higher figures meet."""

    bound: float

    def is_met_by(self, value: float) -> bool:
        return value >= self.bound

    def __str__(self) -> str:
        return f"at least {number(self.bound)}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A target that lower figures meet."""

    bound: float

    def is_met_by(self, value: float) -> bool:
        return value <= self.bound

    def __str__(self) -> str:
        return f"at most {number(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``samples`` are the single measurements it was made of, in the same unit."""

    part: str
    what: str
    value: float
    unit: str = ""
    target: AtLeast | AtMost | None = None
    samples: Sequence[float] = field(default=(), repr=False)

    @property
    def verdict(self) -> str:
        """``met``, ``NOT met``, or nothing where there is no target."""
        if self.target is None:
            return ""
        return "met" if self.target.is_met_by(self.value) else "NOT met"


def median_of(
    part: str, what: str, samples: Sequence[float], unit: str = "", target: AtLeast | AtMost | None = None
) -> Figure:
    """The figure that is the median of ``samples``."""
    return Figure(part, what, statistics.median(samples), unit, target, samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """The sample below which ``percent`` of a hundred lie (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def number(value: float) -> str:
    """``value`` with three or four digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned columns."""
    head = ("part", "what", "measured", "target", "verdict")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rows.insert(1, tuple("-" * width for width in widths))
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(figure: Figure) -> tuple[str, ...]:
    measured = f"{number(figure.value)} {figure.unit}".rstrip()
    return (figure.part, figure.what, measured, str(figure.target or ""), figure.verdict)


def keep(figures: Sequence[Figure], facts: Mapping[str, object], begun: datetime, seconds: float) -> Path:
    """Write everything to a new JSON file; gives its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{begun:%Y%m%dT%H%M%SZ}.json"
    content = {
        "begun": begun.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": facts,
        "figures": [_plain(figure) for figure in figures],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _plain(figure: Figure) -> dict[str, object]:
    return {
        "part": figure.part,
        "what": figure.what,
        "value": figure.value,
        "unit": figure.unit,
        "target": str(figure.target or ""),
        "verdict": figure.verdict,
        "samples": list(figure.samples),
    }
