"""Secrets that can be told apart from everything else, and the places where none may ever be found."""

import base64
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mailsvc.services.ports import Ports


@dataclass(slots=True)
class Canaries:
    """The secrets of one run. ``sent`` are those that callers sent, ``issued`` those that the service gave them."""

    sent: list[str] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)

    def new(self) -> str:
        """A secret that nobody else has."""
        self.sent.append(f"Canary{secrets.token_hex(8)}")
        return self.sent[-1]

    def note(self, secret: str) -> str:
        """A secret that a reply brought: it may stand there, and nowhere else."""
        assert len(secret) >= 16
        self.issued.append(secret)
        return secret

    def found_in(self, places: bytes, *, issued: bool = True) -> list[str]:
        """The secrets that ``places`` shows, in clear or in base64."""
        every = [*self.sent, *(self.issued if issued else [])]
        return [secret for secret in every if any(form in places for form in _forms(secret))]


def _forms(secret: str) -> Iterable[bytes]:
    yield secret.encode()
    # Within a longer text that is encoded as a whole, a secret looks in one of three ways.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).rstrip(b"=")
        yield encoded[(before * 8 + 5) // 6 : -1]


Calls = Callable[[FlaskClient, Ports, Canaries], Iterator[TestResponse]]
"""What ``tests/protocols/<dialect>/canary.py`` has under the name ``calls``: every call of the dialect, and every place
of it in which a secret can be sent. A module with ``ECHOES = True`` is of a wire that gives secrets back to whom they
belong to; its replies are not looked through."""


class Collector(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def everything_logged() -> Iterator[list[logging.LogRecord]]:
    """Every log record of the block, those of the libraries included."""
    talkative = [logging.getLogger(name) for name in ("", "sqlalchemy.engine", "sqlalchemy.pool", "mailsvc")]
    before = [logger.level for logger in talkative]
    collector = Collector()
    for logger in talkative:
        logger.setLevel(logging.DEBUG)
    talkative[0].addHandler(collector)
    try:
        yield collector.records
    finally:
        talkative[0].removeHandler(collector)
        for logger, level in zip(talkative, before, strict=True):
            logger.setLevel(level)
