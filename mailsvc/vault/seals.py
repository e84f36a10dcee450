"""Secrets that must be opened again: sealed with a key that lives outside the database.

The key file holds one Fernet key per line, newest first; the first seals, all open. What a value is for is sealed in
with it, so that a sealed value moved to another row does not open there.
"""

import fcntl
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

Version = tuple[int, int, int, int]

REMEMBERED_VALUES = 128
REMEMBERED_BYTES = 4096
"""How many opened values each process keeps at most, and how long each may be, sealed: half a megabyte in all."""


class CannotOpen(Exception):
    """The key is missing, or the value was damaged or sealed for another purpose."""


class _Opened(NamedTuple):
    """A secret, and the keys that it was opened with."""

    keys: "MultiFernet"
    secret: bytes


class Seals:
    """Seals and opens values with the keys of ``key_file``, read when first needed and whenever it has changed."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file
        self._read: tuple[Version, MultiFernet, Fernet] | None = None
        self._opened: OrderedDict[tuple[str, bytes], _Opened] = OrderedDict()
        self._lock = threading.Lock()

    def seal(self, purpose: str, secret: bytes, *, remember: bool = False) -> bytes:
        """``secret`` sealed for ``purpose`` (such as ``dkim:example.com:mail``); ``remember`` as ``open`` has it.

        Raises CannotOpen without a usable key.
        """
        keys, head = self._keys(), purpose.encode()
        sealed = keys.encrypt(len(head).to_bytes(2, "big") + head + secret)
        if remember:
            self._remember(purpose, sealed, _Opened(keys, secret))
        return sealed

    def open(self, purpose: str, sealed: bytes, *, remember: bool = False) -> bytes:
        """The secret again. Raises CannotOpen.

        ``remember``: it will be asked for often. It is then kept beside what it was opened from, if that is not large,
        and given as long as the same value is to be opened with the same key file.
        """
        keys = self._keys()
        known = self._opened.get((purpose, sealed)) if remember else None
        if known is not None and known.keys is keys:
            return known.secret
        secret = self._decrypted(keys, purpose, sealed)
        if remember:
            self._remember(purpose, sealed, _Opened(keys, secret))
        return secret

    def _remember(self, purpose: str, sealed: bytes, opened: "_Opened") -> None:
        if len(sealed) > REMEMBERED_BYTES:
            return
        # Beside others for the same purpose: while one thread's value is being stored, another seals the next.
        with self._lock:
            self._opened.pop((purpose, sealed), None)
            self._opened[purpose, sealed] = opened
            while len(self._opened) > REMEMBERED_VALUES:
                self._opened.popitem(last=False)

    def _decrypted(self, keys: "MultiFernet", purpose: str, sealed: bytes) -> bytes:
        from cryptography.fernet import InvalidToken

        try:
            opened = keys.decrypt(sealed)
        except InvalidToken:
            raise CannotOpen(
                f"the sealed value for {purpose} does not open with the keys of {self._key_file}"
            ) from None
        head = purpose.encode()
        if opened[: 2 + len(head)] != len(head).to_bytes(2, "big") + head:
            raise CannotOpen(f"the sealed value for {purpose} was sealed for something else")
        return opened[2 + len(head) :]

    def resealed(self, sealed: bytes) -> bytes | None:
        """The same secret for the same purpose, sealed with the newest key; None when that is what it is sealed with.

        Raises CannotOpen.
        """
        from cryptography.fernet import InvalidToken

        keys, newest = self._present()
        try:
            newest.decrypt(sealed)
        except InvalidToken:
            pass
        else:
            return None
        try:
            return keys.rotate(sealed)
        except InvalidToken:
            raise CannotOpen(f"a sealed value does not open with the keys of {self._key_file}") from None

    def _keys(self) -> "MultiFernet":
        return self._present()[0]

    def _present(self) -> "tuple[MultiFernet, Fernet]":
        """All keys, and the newest alone."""
        try:
            version = _version(self._key_file)
            read = self._read
            if read is None or read[0] != version:
                # A change between the two is seen the next time: the older version stands with the newer content.
                read = self._read = (version, *_read_keys(self._key_file))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it does not hold Fernet keys"
            raise CannotOpen(f"cannot use the key file {self._key_file}: {reason}") from None
        return read[1], read[2]


def _version(key_file: Path) -> Version:
    """What is another after every change of the file. One call of the system's, where reading it takes several."""
    found = os.stat(key_file)  # noqa: PTH116 - for every seal, and cheaper
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read_keys(key_file: Path) -> "tuple[MultiFernet, Fernet]":
    # It takes 3 MiB, and many processes never open a seal.
    from cryptography.fernet import Fernet, MultiFernet

    keys = [Fernet(line) for line in _lines(key_file)]
    return MultiFernet(keys), keys[0]


def _lines(key_file: Path) -> list[str]:
    """Raises OSError, ValueError when there is no key in it."""
    lines = key_file.read_text(encoding="ascii").split()
    if not lines:
        raise ValueError("empty")
    return lines


def add_key(key_file: Path) -> None:
    """Put a new key before those in the file: it seals from now on, in every process. Raises OSError, ValueError."""
    from cryptography.fernet import Fernet

    _read_keys(key_file)
    _replace(key_file, [Fernet.generate_key().decode("ascii"), *_lines(key_file)])


def keep_newest(key_file: Path, count: int) -> None:
    """Forget all keys but the newest ``count``. Raises OSError, ValueError."""
    lines = _lines(key_file)
    if len(lines) > count:
        _replace(key_file, lines[:count])


@contextmanager
def rotation_of(key_file: Path) -> Iterator[bool]:
    """Whether nobody else is rotating the keys of the file; if so, nobody can begin to within the block.

    Raises OSError.
    """
    handle = os.open(key_file.resolve().parent, os.O_RDONLY)
    try:
        yield _is_locked(handle)
    finally:
        os.close(handle)


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(key_file: Path, lines: Sequence[str]) -> None:
    """Change the file in one step, mode and owner kept; a link to it stays one."""
    path = key_file.resolve()
    before = path.stat()
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), before.st_mode & 0o777)
            if (os.geteuid(), os.getegid()) != (before.st_uid, before.st_gid):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write("".join(f"{line}\n" for line in lines).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(directory: Path) -> None:
    """Make a change of names in ``directory`` last: what is sealed next opens with nothing else."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create_key_file(path: Path) -> bool:
    """Make the key file, mode 0600, if there is none. True if it was made."""
    if path.exists():
        return False
    from cryptography.fernet import Fernet

    # Written apart and linked into place, so that nobody ever finds it half written.
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        Path(draft).unlink()
    return True
