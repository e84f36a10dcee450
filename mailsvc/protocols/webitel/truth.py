"""Truth as JavaScript has it, which this wire's rules are written in."""

from typing import Any


def truthy(value: Any) -> bool:
    """Whether a JSON value is true: everything but null, false, zero and the empty text; ``{}`` and ``[]`` are."""
    if isinstance(value, bool | int | float | str):
        return bool(value)
    return value is not None
