"""Clean text."""

import pytest

from mailsvc.core.texts import cleaned, is_clean


@pytest.mark.parametrize("text", ["", " ", "plain", "Ящик №1 ~ é", "a\u00a0b", "\U0001f4ec", "\u200b"])
def test_clean_text(text: str) -> None:
    assert is_clean(text)
    assert cleaned(text, 100) == text


@pytest.mark.parametrize("bad", ["\0", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x9f", "\ufffd", "\ud800"])
def test_unclean_text(bad: str) -> None:
    assert not is_clean(f"a{bad}b")
    assert cleaned(f"a{bad}b", 100) == "ab"


def test_text_is_cut_after_it_was_cleaned() -> None:
    assert cleaned("a\nb" * 40, 64) == "ab" * 32
