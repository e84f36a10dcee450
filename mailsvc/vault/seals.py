"""Secrets that must be opened again: sealed with a key that lives outside the database.

The key file holds one Fernet key per line, newest first; the first seals, all open. What a value is for is sealed in
with it, so that a sealed value moved to another row does not open there.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class CannotOpen(Exception):
    """The key is missing, or the value was damaged or sealed for another purpose."""


class Seals:
    """Seals and opens values with the keys of ``key_file``, read when first needed."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    def seal(self, purpose: str, secret: bytes) -> bytes:
        """``secret`` sealed for ``purpose`` (such as ``dkim:example.com:mail``).

        Raises CannotOpen without a usable key.
        """
        head = purpose.encode()
        return self._keys().encrypt(len(head).to_bytes(2, "big") + head + secret)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """The secret again. Raises CannotOpen."""
        from cryptography.fernet import InvalidToken

        try:
            opened = self._keys().decrypt(sealed)
        except InvalidToken:
            raise CannotOpen(
                f"the sealed value for {purpose} does not open with the keys of {self._key_file}"
            ) from None
        head = purpose.encode()
        if opened[: 2 + len(head)] != len(head).to_bytes(2, "big") + head:
            raise CannotOpen(f"the sealed value for {purpose} was sealed for something else")
        return opened[2 + len(head) :]

    def _keys(self) -> "MultiFernet":
        # It takes 8 MiB, and many processes never open a seal.
        from cryptography.fernet import Fernet, MultiFernet

        try:
            lines = self._key_file.read_text(encoding="ascii").split()
            return MultiFernet([Fernet(line) for line in lines])
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it does not hold Fernet keys"
            raise CannotOpen(f"cannot use the key file {self._key_file}: {reason}") from None


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
