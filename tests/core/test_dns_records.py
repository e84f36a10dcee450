"""TXT records: cut into strings that DNS can hold, written as zone files and PowerDNS write them."""

import dns.zonefile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsvc.core.dns_records import DEFAULT_TTL, STRING_BYTES, TxtRecord
from mailsvc.core.refusals import BadInput

PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=1100)


def of(value: str) -> TxtRecord:
    return TxtRecord("example.com", "mail._domainkey.example.com", value)


@pytest.mark.parametrize(
    ("length", "strings"),
    [(0, [0]), (1, [1]), (254, [254]), (255, [255]), (256, [255, 1]), (510, [255, 255]), (600, [255, 255, 90])],
)
def test_strings_hold_255_bytes_at_most(length: int, strings: list[int]) -> None:
    value = "".join(chr(ord("a") + index % 26) for index in range(length))
    assert [len(string) for string in of(value).strings] == strings
    assert "".join(of(value).strings) == value


def test_how_a_zone_file_writes_it() -> None:
    record = of("v=DKIM1; " + "x" * 250)
    assert record.content == f'"v=DKIM1; {"x" * 246}" "xxxx"'
    assert record.zone_line == f"mail._domainkey.example.com. {DEFAULT_TTL} IN TXT {record.content}"


@settings(deadline=None, derandomize=True, max_examples=100)
@given(value=PLAIN)
def test_what_was_stored_reads_as_it_was(value: str) -> None:
    record = of(value)
    assert all(len(string) <= STRING_BYTES for string in record.strings)
    assert TxtRecord.from_content(record.zone, record.name, record.content, record.ttl) == record


@settings(deadline=None, derandomize=True, max_examples=50)
@given(value=PLAIN)
def test_others_read_the_same_from_the_zone_line(value: str) -> None:
    (rrset,) = dns.zonefile.read_rrsets(of(value).zone_line, rdclass=None)
    assert str(rrset.name) == "mail._domainkey.example.com."
    assert rrset.ttl == DEFAULT_TTL
    assert tuple(string.decode() for string in rrset[0].strings) == of(value).strings


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\nb", "a\0b", "é", "\x7f"])
def test_what_a_zone_file_cannot_hold_plainly_is_refused(value: str) -> None:
    with pytest.raises(BadInput):
        of(value)
