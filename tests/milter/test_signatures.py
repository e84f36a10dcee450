"""A signature verifies under dkimpy, which goes over the whole message itself."""

from collections.abc import Sequence

import dkim
import pytest

from mailsvc.core.dkim import KeyPair, new_pair, record
from mailsvc.milter.bodies import BodyHash
from mailsvc.milter.signatures import Key, signature

HEADERS = [
    (b"Received", b" from somewhere"),
    (b"FROM ", b" Ann\n\t<ann@example.org>"),
    (b"Subject", b"  two   blanks \n folded"),
    (b"Subject", b""),
    (b"X-Other", b" x"),
    (b"Date", b" today"),
]
BODY = b"Hello,  \r\n\r\nAnn\t!\r\n\r\n"


@pytest.fixture(scope="module", params=["rsa", "ed25519"])
def pair(request: pytest.FixtureRequest) -> KeyPair:
    """A key of each algorithm."""
    return new_pair(request.param)


def signed(pair: KeyPair, headers: Sequence[tuple[bytes, bytes]] = HEADERS, body: bytes = BODY) -> bytes:
    hashed = BodyHash()
    hashed.update(body)
    return signature(headers, hashed.finished(), Key("example.org", "s", pair.algorithm, pair.private_key))


def message(value: bytes, headers: Sequence[tuple[bytes, bytes]] = HEADERS, body: bytes = BODY) -> bytes:
    lines = [b"%s:%s" % (name.strip(), text) for name, text in [(b"DKIM-Signature", value), *headers]]
    return b"\r\n".join(line.replace(b"\n", b"\r\n") for line in lines) + b"\r\n\r\n" + body


def verifies(pair: KeyPair, text: bytes) -> bool:
    txt = record("example.org", "s", pair.algorithm, pair.public_key).value.encode()
    names = {b"s._domainkey.example.org.": txt}
    outcome: bool = dkim.DKIM(text).verify(dnsfunc=lambda name, timeout: names[name])
    return outcome


def test_it_verifies(pair: KeyPair) -> None:
    assert verifies(pair, message(signed(pair)))
    assert verifies(pair, message(signed(pair, body=b""), body=b""))


def test_its_form_is_what_postfix_takes(pair: KeyPair) -> None:
    value = signed(pair)
    assert value.startswith(b" v=1; a=") and b"\r" not in value and not value.endswith(b"\n")
    assert all(line.startswith(b" ") and len(line) < 80 for line in value.split(b"\n"))
    tags = dict(tag.strip().split(b"=", 1) for tag in value.replace(b"\n", b"").split(b";"))
    assert (tags[b"d"], tags[b"s"], tags[b"c"]) == (b"example.org", b"s", b"relaxed/relaxed")
    assert b"l" not in tags
    names = tags[b"h"].replace(b" ", b"").split(b":")
    assert {name: names.count(name) for name in set(names)} == {
        b"from": 2, b"subject": 3, b"date": 2, b"to": 1, b"cc": 1, b"reply-to": 1
    }  # fmt: skip


@pytest.mark.parametrize("added", [b"From: eve@rival.test", b"To: x@y.test", b"Reply-To: eve@rival.test", b"Date: x"])
def test_a_header_added_on_the_way_breaks_it(pair: KeyPair, added: bytes) -> None:
    assert not verifies(pair, added + b"\r\n" + message(signed(pair)))


@pytest.mark.parametrize("added", [b"Received: x", b"Sender: x@y.test", b"List-Id: x", b"X-Spam: no"])
def test_what_is_added_rightly_does_not(pair: KeyPair, added: bytes) -> None:
    assert verifies(pair, added + b"\r\n" + message(signed(pair)))


@pytest.mark.parametrize("algorithm", ["rsa", "ed25519", "dsa"])
def test_what_is_no_such_key_is_named_and_not_shown(algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"^the key s of example\.org does not sign") as refused:
        signature(HEADERS, BodyHash().finished(), Key("example.org", "s", algorithm, b"--\nc2VjcmV0\n--"))
    assert "c2VjcmV0" not in str(refused.value)
