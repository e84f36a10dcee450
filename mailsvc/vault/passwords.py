"""Hashing and checking passwords, with a bound on the memory and the processors it takes.

Argon2id with 19 MiB, two passes, one lane: OWASP's parameters, and what Dovecot's default memory limit verifies.
Stored as Dovecot reads it, ``{ARGON2ID}$argon2id$...``, so that the same text logs in over IMAP.
"""

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

SCHEME = "{ARGON2ID}"

REMEMBERED_SECONDS = 60.0
REMEMBERED_PAIRS = 4096


class Passwords:
    """Hashes and checks, ``at_once`` at a time in this process: each holds a processor and 19 MiB while it runs."""

    def __init__(self, at_once: int) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._gate = threading.BoundedSemaphore(at_once)
        self.of_nobody = _hash_of_nobody(self._hasher)

    def hash(self, password: str) -> str:
        """A fresh salted hash, with Dovecot's scheme prefix."""
        with self._gate:
            return SCHEME + self._hasher.hash(password)

    @contextmanager
    def checking(self) -> Iterator[Callable[[str, str], bool]]:
        """Wait for a turn, and get the function that tells whether a stored hash was made from a password.

        What must not be overtaken by another check (is this caller blocked, count this failure) belongs into the block.
        """
        with self._gate:
            yield self._matches

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored.removeprefix(SCHEME), password.encode("utf-8", "replace"))
        except (Argon2Error, InvalidHashError):
            return False


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """A hash that no password matches, checked for unknown users so that they take as long as known ones."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len)
    )
    return f"{SCHEME}$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${digest}"


class Remembered:
    """Which (hash, password) pairs this process has verified within the last minute.

    A caller that sends its password with every call pays for the hash once a minute. The stored hash is part of the
    key, so a changed password is never remembered as the right one; whether the user is active is asked of the store
    each time. Only a keyed digest is held, and the key dies with the process.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, stored: str, password: str) -> bool:
        """Whether the pair was verified less than a minute ago."""
        until = self._until.get(self._digest(stored, password))
        return until is not None and time.monotonic() < until

    def add(self, stored: str, password: str) -> None:
        """Remember a pair that has just been verified."""
        digest = self._digest(stored, password)
        with self._lock:
            self._until.pop(digest, None)
            self._until[digest] = time.monotonic() + REMEMBERED_SECONDS
            while len(self._until) > REMEMBERED_PAIRS:
                self._until.popitem(last=False)

    def _digest(self, stored: str, password: str) -> bytes:
        text = f"{len(stored)}:{stored}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)
