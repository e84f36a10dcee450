"""The HTTP dialects: each is a folder here, found by looking, and named nowhere else.

A folder is a package with a ``DIALECT``. A dialect turns its wire into use-cases and back, adds no rule of its own,
and never imports another dialect.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint
from werkzeug.wrappers import Response

from mailsvc.protocols.description import Description
from mailsvc.services.ports import Ports


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the application needs of a dialect.

    ``prefixes`` are the paths that are its own, each without a trailing slash; ``blueprint`` makes its routes;
    ``outside`` gives the answer, in the wire's own shape, to what went wrong before or beside any handler: an
    HTTPException of 404, 405, 413 and the like, or any other exception, which is a bug and has been logged.
    ``describe`` says what the OpenAPI document shows of it.
    ``any_case``: its prefixes, given in lower case, are its own in whatever letter case they are asked for.
    """

    name: str
    prefixes: tuple[str, ...]
    blueprint: Callable[[Ports], Blueprint]
    outside: Callable[[Exception], Response]
    describe: Callable[[], Description] | None = None
    any_case: bool = False


def discover() -> Sequence[Dialect]:
    """The dialects of all folders, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    found: list[Dialect] = [importlib.import_module(f"{__name__}.{name}").DIALECT for name in names]
    return found


class Owners:
    """Whose path it is: the dialect's whose prefix covers most of it."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._prefixes = _longest_first(dialects)
        self._in_any_case = _longest_first([dialect for dialect in dialects if dialect.any_case])

    def of(self, path: str) -> Dialect | None:
        """The dialect that answers on ``path``, whatever is asked for there; None outside of all dialects."""
        return _covering(self._prefixes, path) or _covering(self._in_any_case, path.lower())


def _longest_first(dialects: Sequence[Dialect]) -> Sequence[tuple[str, Dialect]]:
    prefixes = [(prefix, dialect) for dialect in dialects for prefix in dialect.prefixes]
    return sorted(prefixes, key=lambda pair: len(pair[0]), reverse=True)


def _covering(prefixes: Sequence[tuple[str, Dialect]], path: str) -> Dialect | None:
    for prefix, dialect in prefixes:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return dialect
    return None
