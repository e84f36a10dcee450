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

from mailsvc.services.ports import Ports


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the application needs of a dialect.

    ``prefixes`` are the paths that are its own, each without a trailing slash; ``blueprint`` makes its routes;
    ``outside`` gives the answer, in the wire's own shape, to what went wrong before or beside any handler: an
    HTTPException of 404, 405, 413 and the like, or any other exception, which is a bug and has been logged.
    """

    name: str
    prefixes: tuple[str, ...]
    blueprint: Callable[[Ports], Blueprint]
    outside: Callable[[Exception], Response]

    def owns(self, path: str) -> int:
        """How many characters of ``path`` one of the prefixes covers, 0 for none: the dialect with the most answers."""
        return max((len(p) for p in self.prefixes if path == p or path.startswith(p + "/")), default=0)


def discover() -> Sequence[Dialect]:
    """The dialects of all folders, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)
    found: list[Dialect] = [importlib.import_module(f"{__name__}.{name}").DIALECT for name in names]
    return found
