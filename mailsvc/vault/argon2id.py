"""Making Argon2id hashes (RFC 9106) in memory that is kept from one to the next.

A hash works in a block of many MiB. Taken from the system and given back each time, the block is cleared by the system
each time, for half the price of the hash itself; left to malloc, several blocks stay with the process for ever. So the
block is ours, lent to one hash after the other, and its pages go back when no more are asked for: docs/performance.md
has the figures.
"""

import base64
import hmac
import logging
import mmap
import secrets
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi

log = logging.getLogger("mailsvc.argon2id")


LARGE_PAGE = 2 * 1024 * 1024
"""Linux backs only what begins and ends at a multiple of this with large pages (x86-64, arm64)."""


class Block:
    """Memory for one hash at a time. Raises MemoryError where the system lets nobody make callbacks (cffi says why)."""

    def __init__(self, size: int) -> None:
        self._pages = mmap.mmap(-1, _rounded_up(size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # Ten pages to fetch and to find again instead of five thousand.
            self._pages.madvise(mmap.MADV_HUGEPAGE)
        self._start = ffi.cast("uint8_t *", ffi.from_buffer(self._pages))
        self.allocate = ffi.callback("int(uint8_t **, size_t)", self._allocate)
        self.free = ffi.callback("void(uint8_t *, size_t)", self._free)

    def _allocate(self, memory: Any, size: int) -> int:
        if size > len(self._pages):
            return 1
        memory[0] = self._start
        return 0

    def _free(self, memory: object, size: int) -> None:
        """The block stays ours. The library has wiped it."""

    def empty(self) -> None:
        """Give the pages back to the system. The block stays usable."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)


def _rounded_up(size: int) -> int:
    return -(-size // LARGE_PAGE) * LARGE_PAGE


class Argon2id:
    """Hashes as ``$argon2id$v=19$...``, what the library's own PasswordHasher of the same parameters makes.

    One thread at a time: there is one block.
    """

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._block: Block | None = None
        self._blocks_work = True
        self.holds_memory = False

    def verify(self, stored: str, password: bytes) -> bool:
        """True when ``stored``, of whatever parameters, was made from ``password``.

        Raises argon2.exceptions.VerificationError, InvalidHashError when it was not.
        """
        salt = self._salt_of(stored)
        block = None if salt is None else self._memory()
        if salt is None or block is None:
            return self._hasher.verify(stored, password)
        made = encoded(self._hasher, salt, self._digest(block, password, salt))
        if not hmac.compare_digest(made.encode(), stored.encode()):
            raise VerifyMismatchError("made from another password")
        return True

    def hash(self, password: str) -> str:
        """A fresh salted hash. Raises argon2.exceptions.HashingError."""
        block = self._memory()
        if block is None:
            return self._hasher.hash(password)
        salt = secrets.token_bytes(self._hasher.salt_len)
        return encoded(self._hasher, salt, self._digest(block, password.encode(), salt))

    def _salt_of(self, stored: str) -> bytes | None:
        """The salt of a hash of our own parameters; None for all others."""
        parts = stored.split("$")
        try:
            salt, digest = (base64.b64decode(part + "=" * (-len(part) % 4), validate=True) for part in parts[4:])
        except ValueError:
            return None
        ours = len(digest) == self._hasher.hash_len and encoded(self._hasher, salt, digest) == stored
        return salt if ours else None

    def _memory(self) -> Block | None:
        """The block, from now on in use; None where there can be none."""
        if self._block is None and self._blocks_work:
            try:
                self._block = Block(self._hasher.memory_cost * 1024)
            except MemoryError:
                self._blocks_work = False
                log.warning("this system lets C call nothing back: a hash takes half as long again")
        self.holds_memory = self._block is not None
        return self._block

    def _digest(self, block: Block, password: bytes, salt: bytes) -> bytes:
        out = ffi.new("uint8_t[]", self._hasher.hash_len)
        context = ffi.new(
            "argon2_context *",
            {
                "version": ARGON2_VERSION,
                "out": out,
                "outlen": self._hasher.hash_len,
                "pwd": ffi.cast("uint8_t *", ffi.from_buffer(password)),
                "pwdlen": len(password),
                "salt": ffi.cast("uint8_t *", ffi.from_buffer(salt)),
                "saltlen": len(salt),
                "t_cost": self._hasher.time_cost,
                "m_cost": self._hasher.memory_cost,
                "lanes": self._hasher.parallelism,
                "threads": self._hasher.parallelism,
                "allocate_cbk": block.allocate,
                "free_cbk": block.free,
            },
        )
        refused = core(context, Type.ID.value)
        if refused:
            raise HashingError(error_to_str(refused))
        return bytes(ffi.buffer(out))

    def rest(self) -> None:
        """No hash is asked for: give the memory back to the system until one is."""
        if self._block is not None:
            self._block.empty()
        self.holds_memory = False


def encoded(hasher: PasswordHasher, salt: bytes, digest: bytes) -> str:
    """The text that stands for a hash of ``hasher``'s parameters."""
    salted, digested = (base64.b64encode(part).decode().rstrip("=") for part in (salt, digest))
    parameters = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${parameters}${salted}${digested}"
