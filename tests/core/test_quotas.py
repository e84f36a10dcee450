"""Quotas as forms write them."""

import pytest

from mailsvc.core.quotas import HIGHEST, quota_mib
from mailsvc.core.refusals import BadInput


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("0", 0),
        ("1", 1),
        ("1024", 1024),
        (" 1024  ", 1024),
        ("007", 7),
        ("00000000000000000000", 0),
        ("00000000000000000005", 5),
        ("2147483647", HIGHEST),
        ("02147483647", HIGHEST),
    ],
)
def test_quotas(text: str, quota: int) -> None:
    assert quota_mib(text) == quota


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "-1", "-0", "+1", "1.5", "1,5", "1e3", "10M", "0x10", "1_000", "1 000", "abc", "NaN", "unlimited",
        "2147483648", "99999999999", "9" * 1000, "١٢", "１２", "²", "1\n", "\t1", "1\u00a0", "1\0",
    ],
)  # fmt: skip
def test_what_is_not_a_quota(text: str) -> None:
    with pytest.raises(BadInput):
        quota_mib(text)
