"""What a password may be: nearly anything, unchanged."""

import pytest

from mailsvc.core.passwords import checked_password
from mailsvc.core.refusals import BadInput


@pytest.mark.parametrize(
    "text", ["x", " ", " a ", "\t", "a\x01b", "{SSHA}abc", "$argon2id$", "пароль", "x" * 256, "я" * 128, "\U0001f511"]
)
def test_passwords_are_left_as_they_are(text: str) -> None:
    assert checked_password(text) == text


@pytest.mark.parametrize("text", ["", "x" * 257, "я" * 129, "a\0b", "a\rb", "a\nb", "a\n", "a\ufffdb", "a\ud800b"])
def test_what_is_no_password_and_is_not_repeated_in_the_refusal(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        checked_password(text)
    assert refusal.value.facts == {"field": "password"}
