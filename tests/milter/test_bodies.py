"""The hash of a body, however it is cut, is that of the whole in canonical form."""

import hashlib

import pytest
from dkim.canonicalization import Relaxed
from hypothesis import example, given
from hypothesis import strategies as st

from mailsvc.milter.bodies import BodyHash

PIECES = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc ", b" \r\n", b"   "]))


def hashed(*pieces: bytes) -> str:
    body = BodyHash()
    for piece in pieces:
        body.update(piece)
    digest: str = body.finished().hexdigest()
    return digest


@given(PIECES)
@example([b"a", b" ", b"\r", b"\n", b"\r\n"])
@example([b"\r\n", b" ", b"\t", b"\r\n", b"a"])
def test_it_is_what_dkimpy_makes_of_the_whole(pieces: list[bytes]) -> None:
    whole = [*pieces, b"\r\n"] if pieces else []
    expected = hashlib.sha256(Relaxed.canonicalize_body(b"".join(whole))).hexdigest()
    assert hashed(*whole) == expected
    assert hashed(b"".join(whole)) == expected


# RFC 6376, section 3.4.5, and section 3.4.4 for a body that is empty or does not end with a line end.
@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),
        (b"", b""),
        (b"\r\n\r\n \t\r\n", b""),
        (b"no end", b"no end\r\n"),
        (b"blanks at the end  ", b"blanks at the end\r\n"),
    ],
)
def test_it_is_as_the_rules_say(body: bytes, canonical: bytes) -> None:
    assert hashed(body) == hashlib.sha256(canonical).hexdigest()


def test_many_empty_lines_count_once_something_follows() -> None:
    lines = b"\r\n" * 100_000
    assert hashed(b"a", lines, b"b", lines) == hashlib.sha256(b"a" + lines + b"b\r\n").hexdigest()
