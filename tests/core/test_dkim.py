"""DKIM keys and the records that publish them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from mailsvc.core import dkim
from mailsvc.core.dkim import KeyPair
from mailsvc.core.dns_records import TxtRecord


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return dkim.new_rsa_pair()


def private_key(pair: KeyPair) -> RSAPrivateKey:
    key = load_pem_private_key(pair.private_key, password=None)
    assert isinstance(key, RSAPrivateKey)
    return key


def published(record: TxtRecord) -> dict[str, str]:
    """The tags of a key record (RFC 6376, section 3.2)."""
    tags = (tag.split("=", 1) for tag in record.value.split(";"))
    return {name.strip(): value.strip() for name, value in tags}


def test_the_key_is_rsa_with_2048_bits(pair: KeyPair) -> None:
    assert pair.algorithm == "rsa"
    assert pair.private_key.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert private_key(pair).key_size == 2048
    assert private_key(pair).public_key().public_numbers().e == 65537


def test_the_record_publishes_the_public_half_of_the_key(pair: KeyPair) -> None:
    record = dkim.record("example.com", "mail", pair.algorithm, pair.public_key)
    assert (record.zone, record.name) == ("example.com", "mail._domainkey.example.com")
    tags = published(record)
    assert (tags["v"], tags["k"], record.value.startswith("v=DKIM1;")) == ("DKIM1", "rsa", True)
    public = load_der_public_key(base64.b64decode(tags["p"], validate=True))
    assert isinstance(public, RSAPublicKey)
    assert public.public_numbers() == private_key(pair).public_key().public_numbers()


def test_the_record_is_cut_into_strings_that_dns_can_hold(pair: KeyPair) -> None:
    record = dkim.record("example.com", "mail", pair.algorithm, pair.public_key)
    assert [len(string) <= 255 for string in record.strings] == [True, True]
    assert "".join(record.strings) == record.value


def test_no_two_keys_are_alike(pair: KeyPair) -> None:
    assert dkim.new_rsa_pair().public_key != pair.public_key
