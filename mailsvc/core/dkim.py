"""DKIM keys (RFC 6376): making a pair, and the record that publishes the public half."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count

from mailsvc.core.dns_records import TxtRecord

RSA_BITS = 2048
"""What every verifier takes (RFC 8301, section 3.2) and what fits a DNS answer."""


RSA = "rsa"
ED25519 = "ed25519"
ALGORITHMS = (RSA, ED25519)
"""What a domain may sign with. Not every verifier knows Ed25519 (RFC 8463), so it goes beside RSA, never instead."""

LABEL_BYTES = 63


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``private_key``: PKCS#8 PEM, to be sealed before it is stored; ``public_key``: base64 of what ``p=`` holds."""

    algorithm: str
    private_key: bytes
    public_key: str


def new_pair(algorithm: str) -> KeyPair:
    """A fresh pair of ``algorithm``, one of ALGORITHMS."""
    return new_ed25519_pair() if algorithm == ED25519 else new_rsa_pair()


def new_ed25519_pair() -> KeyPair:
    """A fresh Ed25519 pair; DNS shows the raw 32 bytes (RFC 8463, section 4)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return KeyPair(ED25519, pem, base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii"))


def new_rsa_pair() -> KeyPair:
    """A fresh RSA-2048 pair; DNS shows the DER of its SubjectPublicKeyInfo (RFC 6376, section 3.6.1).

    Takes tens to hundreds of milliseconds of CPU: never call it with a lock held.
    """
    # It takes 8 MiB, and most processes never make a key.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(RSA, pem, base64.b64encode(der).decode("ascii"))


def record_name(selector: str, domain: str) -> str:
    """Where the public key of ``selector`` is looked up (RFC 6376, section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def record(domain: str, selector: str, algorithm: str, public_key: str) -> TxtRecord:
    """The record that publishes a key (RFC 6376, section 3.6.1)."""
    return TxtRecord(domain, record_name(selector, domain), f"v=DKIM1; k={algorithm}; p={public_key}")


def selectors(first: str, algorithm: str, day: date) -> Iterator[str]:
    """Names for a new key of ``algorithm``, the best one first: labels that begin as ``first`` does, without end.

    ``first`` itself is the name of a domain's very first key and none of these.
    """
    kind = "-ed25519" if algorithm == ED25519 else ""
    for number in count(1):
        again = f"-{number}" if number > 1 else ""
        suffix = f"-{day:%Y%m%d}{kind}{again}"
        yield first[: LABEL_BYTES - len(suffix)].rstrip("-") + suffix
