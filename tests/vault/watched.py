"""A password hasher that is watched at work."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from argon2 import PasswordHasher

from mailsvc.vault.passwords import Passwords


@dataclass
class Watched:
    """The real hasher; counts what it does, and how much of that at once. ``within`` is called meanwhile."""

    real: PasswordHasher
    within: Callable[[], object] = lambda: None
    holds_memory: bool = False
    """Nor does the library's own, once it is done: nobody comes to take it back."""
    hashed: int = 0
    checked: int = 0
    busy: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hash(self, password: str) -> str:
        with self._at_work():
            self.hashed += 1
            return self.real.hash(password)

    def verify(self, stored: str, password: bytes) -> bool:
        with self._at_work():
            self.checked += 1
            return self.real.verify(stored, password)

    def rest(self) -> None:
        """There is nothing to give back."""

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self.lock:
            self.busy += 1
            self.most_at_once = max(self.most_at_once, self.busy)
        try:
            self.within()
            yield
        finally:
            with self.lock:
                self.busy -= 1


def watch(passwords: Passwords) -> Watched:
    """Have the hashing of ``passwords`` watched from now on."""
    hashers = [passwords._hashers.get() for _ in range(passwords._hashers.qsize())]
    watched = Watched(hashers[0]._hasher)
    for _ in hashers:
        passwords._hashers.put(watched)  # type: ignore[arg-type]
    return watched
