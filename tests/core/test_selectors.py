"""Names for DKIM keys, and Ed25519 keys."""

import base64
import re
from datetime import date
from itertools import islice

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mailsvc.core import dkim

DAY = date(2026, 11, 29)


def test_selectors_tell_the_day_the_kind_and_how_often() -> None:
    assert list(islice(dkim.selectors("mail", "rsa", DAY), 3)) == [
        "mail-20261129",
        "mail-20261129-2",
        "mail-20261129-3",
    ]
    assert next(dkim.selectors("mail", "ed25519", DAY)) == "mail-20261129-ed25519"


@pytest.mark.parametrize("first", ["a", "a" * 63, "a" * 44 + "-" * 10 + "b" * 9, "2026-mail"])
@pytest.mark.parametrize("algorithm", dkim.ALGORITHMS)
def test_every_selector_is_a_label(first: str, algorithm: str) -> None:
    for selector in islice(dkim.selectors(first, algorithm, DAY), 200):
        assert len(selector) <= 63 and re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", selector)
    assert len(set(islice(dkim.selectors(first, algorithm, DAY), 200))) == 200


def test_an_ed25519_key_is_published_as_its_raw_bytes() -> None:
    pair = dkim.new_pair(dkim.ED25519)
    private = load_pem_private_key(pair.private_key, password=None)
    assert isinstance(private, Ed25519PrivateKey)
    assert base64.b64decode(pair.public_key) == private.public_key().public_bytes_raw()
    record = dkim.record("example.com", "mail", pair.algorithm, pair.public_key)
    assert record.value == f"v=DKIM1; k=ed25519; p={pair.public_key}"
    assert dkim.new_pair(dkim.RSA).algorithm == "rsa"
