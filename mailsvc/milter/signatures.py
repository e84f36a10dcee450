"""DKIM-Signature headers (RFC 6376), made by dkimpy of the headers and of the hash of a body that is not kept."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import dkim

CANONICAL = (b"relaxed", b"relaxed")

SIGNED = frozenset(dkim.DKIM.SHOULD) | {b"date", b"list-unsubscribe-post"}
"""What is signed as often as it is there (RFC 6376, section 5.4.1)."""

NEVER_ADDED = (b"from", b"reply-to", b"subject", b"to", b"cc")
"""Signed once more than it is there: a header of that name put in on the way breaks the signature."""

NEVER_REPEATED = (
    b"sender", b"date", b"message-id", b"mime-version", b"content-type", b"content-transfer-encoding",
)  # fmt: skip
"""Likewise, if it is there. Lists and gateways add these where they are missing, and may."""

ALGORITHMS = {"rsa": b"rsa-sha256", "ed25519": b"ed25519-sha256"}
"""RFC 8301 and RFC 8463."""


class Key(NamedTuple):
    """An opened key: ``private_key`` is PKCS#8 PEM."""

    domain: str
    selector: str
    algorithm: str
    private_key: bytes


class _Signer(dkim.DKIM):  # type: ignore[misc]
    """dkimpy's signer, for a body of which only the hash is known.

    It makes two hash objects of ``hasher``, first for the body, then for the headers; the body given to it is empty.
    """

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], body: Any) -> None:
        super().__init__()
        self.headers = [[name, value + b"\r\n"] for name, value in headers]
        self.body = b""
        self._hashes = [hashlib.sha256(), body.copy()]

    @property
    def hasher(self) -> Any:
        return self._hashes.pop

    @hasher.setter
    def hasher(self, chosen: Any) -> None:
        pass


def signature(headers: Sequence[tuple[bytes, bytes]], body: Any, key: Key) -> bytes:
    """The value of a DKIM-Signature header, from the blank after the colon, its lines divided by LF.

    ``headers`` are names and values in the order of the message; ``body`` is the finished hash of its body. Raises
    ValueError for a key that is not one of its algorithm.
    """
    named = [(name.strip().lower(), value) for name, value in headers]
    try:
        made: bytes = _Signer(named, body).sign(
            key.selector.encode(),
            key.domain.encode(),
            _for_dkimpy(key),
            signature_algorithm=ALGORITHMS[key.algorithm],
            canonicalize=CANONICAL,
            include_headers=_included([name for name, _ in named]),
        )
    except Exception as error:
        # What is not a key makes the libraries fail in many ways, some with a part of it in their text.
        raise ValueError(f"the key {key.selector} of {key.domain} does not sign: {type(error).__name__}") from None
    return made.removeprefix(b"DKIM-Signature:").rstrip(b"\r\n").replace(b"\r\n", b"\n")


def _included(names: Sequence[bytes]) -> Sequence[bytes]:
    there = [name for name in names if name in SIGNED]
    return [*there, *NEVER_ADDED, *(name for name in NEVER_REPEATED if name in there)]


def _for_dkimpy(key: Key) -> bytes:
    """RSA keys as they are, of Ed25519 keys the seed in base64."""
    if key.algorithm != "ed25519":
        return key.private_key
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key(key.private_key, password=None)
    return base64.b64encode(private.private_bytes_raw())  # type: ignore[union-attr]
