"""Strict JSON: what is kept exactly, what is refused, and that nothing else can come out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsvc.protocols.json_bodies import DEEPEST, NotJson, UnsafeJson, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES, st.booleans())
def test_what_is_json_is_read(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=60))
def test_whatever_is_sent_is_read_or_refused(body: bytes) -> None:
    try:
        value = parse(body)
    except (NotJson, UnsafeJson):
        return
    assert parse(json.dumps(value).encode()) == value


def test_order_and_repeated_names() -> None:
    assert list(parse(b'{"b":1,"a":2,"b":3}').items()) == [("b", 3), ("a", 2)]


def test_whole_numbers_stay_exact() -> None:
    assert parse(b"12345678901234567890123") == 12345678901234567890123


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"1e999", b"-1e999", b"1" * 400, b"1" * 10_000, b'"\xff"',
        b"\xef\xbb", b'"\\ud800"', b'["\\uDC00x"]', b'{"\\ud83d":1}', b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
        b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 100_000,
    ],
)  # fmt: skip
def test_unsafe(body: bytes) -> None:
    with pytest.raises(UnsafeJson):
        parse(body)


def test_the_quotes_of_a_text_without_an_end_are_read_once() -> None:
    # Were each tried as the beginning of a text, this would not end today.
    with pytest.raises(UnsafeJson):
        parse(b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 500_000)
    with pytest.raises(NotJson) as caught:
        parse(b'["' + b"[" * (DEEPEST + 1) + b'\\"' * 500_000)
    assert caught.value.ended


def test_what_only_looks_deep_is_read() -> None:
    text = "[" * 300 + '"' + "{" * 300
    assert parse(json.dumps([text, *[[]] * 300]).encode()) == [text, *[[]] * 300]
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    assert json.dumps(parse(deep)).encode() == deep
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("body", "position", "character"), [(b"{bad", 1, "b"), (b"x", 0, "x"), (b'{"a":1}x', 7, "x"), (b"[1,]", 3, "]")]
)
def test_where_it_stops_being_json(body: bytes, position: int, character: str) -> None:
    with pytest.raises(NotJson) as caught:
        parse(body)
    assert (caught.value.position, caught.value.character, caught.value.ended) == (position, character, False)


@pytest.mark.parametrize("body", [b"", b" ", b"{", b'{"a"', b'{"a":', b'"abc', b"[1, "])
def test_where_it_ends_too_early(body: bytes) -> None:
    with pytest.raises(NotJson) as caught:
        parse(body)
    assert caught.value.ended
