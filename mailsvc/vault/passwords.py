"""Hashing and checking passwords, with a bound on the memory and the processors it takes.

Argon2id with 19 MiB, two passes, one lane: OWASP's parameters, and what Dovecot's default memory limit verifies.
Stored as Dovecot reads it, ``{ARGON2ID}$argon2id$...``, so that the same text logs in over IMAP.
"""

import contextlib
import functools
import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mailsvc.vault.argon2id import Argon2id, encoded

SCHEME = "{ARGON2ID}"

IDLE_SECONDS = 1.0
"""How long the memory of hashes is kept for the next one."""

REMEMBERED_SECONDS = 60.0
REMEMBERED_PAIRS = 4096


class Passwords:
    """Hashes and checks, ``at_once`` at a time in this process: each holds a processor and 19 MiB while it runs."""

    def __init__(self, at_once: int) -> None:
        parameters = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self.of_nobody = _hash_of_nobody(parameters)
        self._last_hash = 0.0
        self._timer: threading.Timer | None = None
        self._timer_lock = threading.Lock()
        self._hashers: SimpleQueue[Argon2id] = SimpleQueue()
        for _ in range(at_once):
            self._hashers.put(Argon2id(parameters))

    def hash(self, password: str) -> str:
        """A fresh salted hash, with Dovecot's scheme prefix."""
        with self._turn() as hasher:
            return SCHEME + hasher.hash(password)

    @contextmanager
    def checking(self) -> Iterator[Callable[[str, str], bool]]:
        """Wait for a turn, and get the function that tells whether a stored hash was made from a password.

        What must not be overtaken by another check (is this caller blocked, count this failure) belongs into the block.
        """
        with self._turn() as hasher:
            yield functools.partial(_matches, hasher)

    @contextmanager
    def _turn(self) -> Iterator[Argon2id]:
        hasher = self._hashers.get()
        try:
            yield hasher
        finally:
            self._hashers.put(hasher)
            if hasher.holds_memory:
                self._last_hash = time.monotonic()
                self._watch()

    def _watch(self) -> None:
        """See to it, once, that what the hashes hold goes back when none has been asked for since IDLE_SECONDS."""
        with self._timer_lock:
            if self._timer is None:
                self._timer = threading.Timer(IDLE_SECONDS, self._rest_if_idle)
                self._timer.daemon = True
                self._timer.start()

    def _rest_if_idle(self) -> None:
        with self._timer_lock:
            self._timer = None
        if time.monotonic() - self._last_hash < IDLE_SECONDS:
            self._watch()
        else:
            self._empty()

    def rest(self) -> None:
        """Give the memory back now: before a fork, which takes along the memory but not the thread that minds it."""
        while (timer := self._timer) is not None:
            timer.cancel()
            timer.join()
            with self._timer_lock:
                if self._timer is timer:
                    self._timer = None
        self._empty()

    def _empty(self) -> None:
        for _ in range(self._hashers.qsize()):
            with contextlib.suppress(Empty):
                hasher = self._hashers.get_nowait()
                hasher.rest()
                self._hashers.put(hasher)


def _matches(hasher: Argon2id, stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored.removeprefix(SCHEME), password.encode("utf-8", "replace"))
    except (Argon2Error, InvalidHashError):
        return False


def _hash_of_nobody(hasher: PasswordHasher) -> str:
    """A hash that no password matches, checked for unknown users so that they take as long as known ones."""
    return SCHEME + encoded(hasher, secrets.token_bytes(hasher.salt_len), secrets.token_bytes(hasher.hash_len))


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
        # BLAKE2 takes a key itself (RFC 7693), and unlike SHA-256 does not bring OpenSSL's tables into each process.
        return hashlib.blake2b(text, key=self._key, digest_size=32).digest()
