"""DKIM keys (RFC 6376): making a pair, and the record that publishes the public half."""

import base64
from dataclasses import dataclass

from mailsvc.core.dns_records import TxtRecord

RSA_BITS = 2048
"""What every verifier takes (RFC 8301, section 3.2) and what fits a DNS answer."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """``private_key``: PKCS#8 PEM, to be sealed before it is stored; ``public_key``: base64 of the DER
    SubjectPublicKeyInfo."""

    algorithm: str
    private_key: bytes
    public_key: str


def new_rsa_pair() -> KeyPair:
    """A fresh RSA-2048 pair. Takes tens to hundreds of milliseconds of CPU: never call it with a lock held."""
    # It takes 8 MiB, and most processes never make a key.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair("rsa", pem, base64.b64encode(der).decode("ascii"))


def record_name(selector: str, domain: str) -> str:
    """Where the public key of ``selector`` is looked up (RFC 6376, section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def record(domain: str, selector: str, algorithm: str, public_key: str) -> TxtRecord:
    """The record that publishes a key (RFC 6376, section 3.6.1)."""
    return TxtRecord(domain, record_name(selector, domain), f"v=DKIM1; k={algorithm}; p={public_key}")
