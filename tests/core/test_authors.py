"""Whom a From header names: what every reader agrees on, and nothing else."""

import email.policy
from email.headerregistry import Address as WrittenAddress
from email.utils import getaddresses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsvc.core.addresses import mail_address
from mailsvc.core.authors import MOST, Unclear, authors
from mailsvc.core.refusals import BadInput

ADDRESS = st.sampled_from(["ann@example.org", "eve@rival.test", "o'brien+x@a-b.test", "ANN@Example.ORG"])
PIECES = st.sampled_from(
    [
        *("ann@example.org", "eve@rival.test", "<ann@example.org>", "example.org", "ann", "group"),
        *('"Ann"', "(Ann)", "Ж", " ", "\t", "\r\n ", "\n\t", "\r", "\0"),
        *("=?utf-8?q?eve=40rival.test?=", "=?utf-8?b?PGV2ZUByaXZhbC50ZXN0Pg==?="),
        *"@<>\"\\(),:;.[]'=?",
    ]
)


def named(text: str) -> list[str]:
    return [str(address) for address in authors(text.encode())]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" ann@example.org", ["ann@example.org"]),
        (" Ann <ann@example.org>\r\n", ["ann@example.org"]),
        (" John Q. Public <john@example.org>", ["john@example.org"]),
        (' "Smith, Ann \\"A\\" @ Sales" <ann@example.org> (in (the) office)', ["ann@example.org"]),
        (" (Ann) ann@example.org (work)", ["ann@example.org"]),
        (" Ann\r\n <ann@example.org>,\r\n\t eve@rival.test", ["ann@example.org", "eve@rival.test"]),
        (" =?iso-2022-jp?b?GyRCOzNFRBsoQg==?= <ann@example.org>", ["ann@example.org"]),
        (" =?utf-8*de?q?J=C3=BCrgen?= <ann@example.org>", ["ann@example.org"]),
        (" Жук <ann@bücher.test>", ["ann@xn--bcher-kva.test"]),
        (" < ANN@Example.org >", ["ann@example.org"]),
    ],
)
def test_what_everybody_writes_is_understood(value: str, expected: list[str]) -> None:
    assert named(value) == expected


def test_a_name_need_not_be_utf_8() -> None:
    assert [str(one) for one in authors(b" J\xfcrgen <ann@example.org>")] == ["ann@example.org"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "<>",
        "ann",
        "Ann Smith",
        "eve@rival.test <ann@example.org>",
        "<eve@rival.test> <ann@example.org>",
        "<<eve@rival.test>ann@example.org>",
        "<ann@example.org> eve@rival.test",
        '"Eve <eve@rival.test>" <ann@example.org>',
        "(<eve@rival.test>) <ann@example.org>",
        "=?utf-8?q?Eve_=3Ceve=40rival.test=3E?= <ann@example.org>",
        '"=?utf-8?q?=3Ceve=40rival.test=3E?=" <ann@example.org>',
        "=?utf-7?q?+ADw-eve?= <ann@example.org>",
        "=?utf-8?q?a=0D=0AFrom:_eve=40rival.test?= <ann@example.org>",
        "=?no-such-charset?q?x?= <ann@example.org>",
        "=?idna?q?x?= <ann@example.org>",
        "=?utf-8?b?x?= <ann@example.org>",
        "=?utf-8?q?ann=40example.org?=",
        "friends: ann@example.org, eve@rival.test;",
        "undisclosed:;",
        "<@eve.test:ann@example.org>",
        "<@eve.test,@rival.test:ann@example.org>",
        "ann@example.org,",
        ",ann@example.org",
        "ann@example.org,,eve@rival.test",
        "ann@example.org eve@rival.test",
        "ann@example.org; eve@rival.test",
        '"ann"@example.org',
        "ann@[192.0.2.1]",
        "ann @example.org",
        "ann(comment)@example.org",
        "<ann@example.org(comment)>",
        "ann@example.org\0",
        "ann@example.org\rFrom: eve@rival.test",
        "ann@example.org\nFrom: eve@rival.test",
        "ann@example.org\u2028",
        '"Ann <ann@example.org>',
        "Ann) <ann@example.org>",
        "(Ann <ann@example.org>",
        "Ann\\ <ann@example.org>",
        ",".join(f"a{number}@example.org" for number in range(MOST + 1)),
    ],
)
def test_what_could_be_read_in_two_ways_is_not(value: str) -> None:
    with pytest.raises(Unclear):
        authors(value.encode())


@given(st.lists(PIECES, max_size=9).map("".join))
@example("ann@example.org, Ж <eve@rival.test>")
@example("Ann J.<ann@example.org>")
def test_other_readers_see_the_same_authors(value: str) -> None:
    try:
        found = named(value)
    except Unclear:
        return
    unfolded = value.replace("\r\n", "").replace("\n", "").strip()
    assert [canonical(address) for _, address in getaddresses([unfolded])] == found
    try:
        header = email.policy.SMTPUTF8.header_factory("From", unfolded)
    except (AttributeError, TypeError):
        return  # it stumbles over a name that ends with a dot
    assert [canonical(one.addr_spec) for one in header.addresses] == found


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])), ADDRESS), min_size=1))
def test_whatever_name_a_program_writes_it_is_the_addresses_that_count(entries: list[tuple[str, str]]) -> None:
    written = ", ".join(str(WrittenAddress(name, addr_spec=address)) for name, address in entries)
    if any(sign in written for sign in ("=?", "\\")) or any(set("<>") & set(name) for name, _ in entries):
        return
    assert named(written) == [canonical(address) for _, address in entries]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    try:
        assert all("@" in str(address) for address in authors(value))
    except Unclear as unclear:
        assert str(unclear).isprintable()


def canonical(address: str) -> str:
    try:
        return str(mail_address(address))
    except BadInput:
        return f"not an address: {address}"
