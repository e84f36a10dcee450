"""Addresses and domain names: what is accepted and in which form, and what is refused."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsvc.core.addresses import ADDRESS_BYTES, Address, domain_name, foreign_address, mail_address, mailbox_address
from mailsvc.core.refusals import BadInput

LABEL = "a" * 63
DOMAIN_OF_189 = f"{LABEL}.{LABEL}.{'a' * 57}.com"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("info@example.com", "info@example.com"),
        ("Info@EXAMPLE.Com", "info@example.com"),
        ("userbox @ example.com", "userbox@example.com"),
        ("   userbox  @   example.com  ", "userbox@example.com"),
        ("a@b.c", "a@b.c"),
        ("0@1.2", "0@1.2"),
        ("_a.b+c-d_@example.com", "_a.b+c-d_@example.com"),
        ("a-@example.com", "a-@example.com"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ("a" * 64 + "@" + DOMAIN_OF_189, "a" * 64 + "@" + DOMAIN_OF_189),
        ("a@x-y.example.com", "a@x-y.example.com"),
        ("info@почта.рф", "info@xn--80a1acny.xn--p1ai"),
        ("info@ПОЧТА.РФ", "info@xn--80a1acny.xn--p1ai"),
        ("info@XN--80A1ACNY.xn--p1ai", "info@xn--80a1acny.xn--p1ai"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("info@straße.example", "info@xn--strae-oqa.example"),
    ],
)
def test_canonical_addresses(text: str, canonical: str) -> None:
    assert str(mailbox_address(text)) == canonical
    assert str(mail_address(text)) == canonical


@pytest.mark.parametrize("text", ["a=b", "a&b", "o'brien", "#a", "~a", "=&'#~", "srs0=x=y=z=u"])
def test_a_mailbox_cannot_have_every_name_that_mail_may_go_to(text: str) -> None:
    assert str(mail_address(f"{text}@example.com")) == f"{text}@example.com"
    with pytest.raises(BadInput):
        mailbox_address(f"{text}@example.com")


def test_a_foreign_address_hides_no_encoded_word() -> None:
    assert foreign_address("a=b?c@Example.com") == "a=b?c@example.com"
    for local in ("=?utf-8?q?a=0d=0aBcc=3ac?=", "a.=?utf-8?q?b?="):
        with pytest.raises(BadInput):
            foreign_address(f"{local}@example.com")


@pytest.mark.parametrize("read", [mailbox_address, mail_address])
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "@", "a", "a@", "@example.com", " @ example.com", "a@b@example.com", "a@@example.com", "a@b",
        "a@.com", "a@example.", "a@example.com.", "a@example..com", "a@-x.com", "a@x-.com", "a@x_y.com",
        f"a@{'a' * 64}.com", "a" * 65 + "@example.com", "aa" * 32 + "@a" + DOMAIN_OF_189,
        ".a@example.com", "-a@example.com", "a.@example.com", "a..b@example.com", "a b@example.com", "a\t@example.com",
        "a@exam ple.com", "|/bin/sh", "|/bin/sh@example.com", "a|b@example.com", "`id`@example.com", "a!b@example.com",
        "a%b@example.com", "/etc/passwd", "a/b@example.com", '"a b"@example.com', '"a"@example.com', "a\\b@example.com",
        "a@[192.0.2.1]", "a@[IPv6:::1]", "a,b@example.com", "a;b@example.com", "<a@example.com>", "a:b@example.com",
        "a(b)@example.com", "a*b@example.com", "a?b@example.com", "a$b@example.com", "a{b}@example.com",
        "a^@example.com", "инфо@example.com", "é@example.com", "\u212a@example.com", "ａ@example.com",
        "a\u200b@example.com", "a\u00a0@example.com", "a@exa\u00a0mple.com", "a@℀.example", "a@☃☃..example",
        "a@\u0301x.example", "a@xn--é.example", f"a@{'я' * 300}.рф", "a@b.c\n", "a\0@example.com",
    ],
)  # fmt: skip
def test_refused_addresses(read: Callable[[str], Address], text: str) -> None:
    with pytest.raises(BadInput):
        read(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("example.com", "example.com"),
        ("  EXAMPLE.com  ", "example.com"),
        ("example.com.", "example.com"),
        (" example.com. ", "example.com"),
        ("Почта.рф.", "xn--80a1acny.xn--p1ai"),
        ("1.2", "1.2"),
        (f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}", f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"),
    ],
)
def test_canonical_domains(text: str, canonical: str) -> None:
    assert domain_name(text) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "com", "com.", "example.com..", ".example.com", "a..b", "-a.com", "a-.com", "a_b.com", "a b.com",
        "@example.com", "a@example.com", "*.example.com", "example.com/", "[192.0.2.1]", f"{LABEL}a.com",
        f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}", "я" * 100 + ".рф", "a.\u200d", "example.com\n", "example .com",
    ],
)  # fmt: skip
def test_refused_domains(text: str) -> None:
    with pytest.raises(BadInput):
        domain_name(text)


@pytest.mark.parametrize(
    ("local", "falls_back_to"), [("a", "a"), ("a+b", "a"), ("a+b+c", "a"), ("a+", "a"), ("+b", "+b"), ("+", "+")]
)
def test_the_address_below_an_extension(local: str, falls_back_to: str) -> None:
    assert str(Address(local, "example.com").without_extension) == f"{falls_back_to}@example.com"


ANY_LETTERS = st.text(max_size=20)
NEARLY_LOCAL = st.text("abKZ09._+-=&'#~ \u212a", max_size=12)
NEARLY_DOMAIN = st.text("abZ09.-ПяßİKſ。", max_size=12)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(local=NEARLY_LOCAL | ANY_LETTERS, domain=NEARLY_DOMAIN | ANY_LETTERS)
def test_whatever_is_accepted_is_ascii_in_lower_case_and_reads_as_itself(local: str, domain: str) -> None:
    for read in (mailbox_address, mail_address):
        try:
            canonical = str(read(f"{local}@{domain}"))
        except BadInput:
            continue
        assert canonical.isascii() and canonical == canonical.lower() and len(canonical) <= ADDRESS_BYTES
        assert str(read(canonical)) == canonical
        assert domain_name(canonical.partition("@")[2]) == canonical.partition("@")[2]
