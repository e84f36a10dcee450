"""gunicorn's settings for the floor: the product's own, without what only the product's application can do.

Its worker is the product's too: how connections spread over the processes decides more than the application does.
"""

import gc
from runpy import run_path
from typing import Any

from bench.processes import ROOT

globals().update({name: value for name, value in run_path(str(ROOT / "gunicorn.conf.py")).items() if name[0] != "_"})


def when_ready(_server: Any) -> None:
    """As the product, but there is nothing to rehearse."""
    gc.collect()
    gc.freeze()


def post_worker_init(_worker: Any) -> None:
    """There is no database to hold open."""
