"""What foreign servers say is shown as one clean, short line without the password."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsvc.courier.replies import SHOWN, Reply, shown

SECRET = "hunter2-Geheim"
SECRETS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=6, max_size=40).filter(lambda s: s.strip())


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("535 no", "535 no"),
        ("  a\r\n\tb\0c\x1b[31m\u202ed \x85 ", "a b c [31m d"),
        ("ä ü 日本", "ä ü 日本"),
        ("", ""),
        ("x" * 1000, "x" * SHOWN),
    ],
)
def test_one_printable_line(text: str, line: str) -> None:
    assert shown(text, None) == line


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        SECRET.upper(),
        encoded(SECRET),
        encoded(f"\0user\0{SECRET}"),
        encoded(f"\0{'u' * 17}\0{SECRET}").rstrip("="),
        f"AUTH PLAIN {encoded(f'x{SECRET}yy')}",
        f"<{SECRET}>",
        f"pass={SECRET};",
    ],
)
def test_the_password_is_hidden(echo: str) -> None:
    line = shown(f"535 bad credentials {echo} for you", SECRET)
    assert "***" in line
    assert SECRET.lower() not in line.lower() and encoded(SECRET)[:12] not in line
    assert line.startswith("535 bad credentials ") and line.endswith("for you")


def test_the_password_is_hidden_as_imap_quotes_it() -> None:
    secret = r'hunter"2\Geheim'
    assert shown(r'NO LOGIN "me" "hunter\"2\\Geheim" is wrong', secret) == 'NO LOGIN "me" "***" is wrong'
    assert shown(f"NO {secret}", secret) == "NO ***"


def test_the_password_is_hidden_before_the_line_is_cut() -> None:
    assert shown("x" * (SHOWN - 5) + SECRET, SECRET) == "x" * (SHOWN - 5) + "***"


def test_other_words_stay() -> None:
    line = "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6 base64+/="
    assert shown(line, SECRET) == line


@given(SECRETS, st.text(string.ascii_letters, max_size=8), st.text(max_size=20))
def test_no_password_in_any_place(secret: str, user: str, around: str) -> None:
    for echo in (secret, encoded(secret), encoded(f"\0{user}\0{secret}")):
        line = shown(f"{around} {echo} {around}", secret)
        assert len(line) <= SHOWN and line.isprintable()
        if secret not in around and echo not in around and len(line) < SHOWN:
            assert echo not in line.replace("***", "\n")


@given(st.text(), st.none() | st.text())
def test_whatever_is_said_is_one_line(text: str, secret: str | None) -> None:
    line = shown(text, secret)
    assert line.isprintable() and len(line) <= SHOWN


def test_a_reply_is_its_code_and_its_text() -> None:
    assert Reply(550, "no").line == "550 no"
    assert Reply(550, "").line == "550"
    assert [Reply(code, "").is_positive for code in (199, 200, 250, 299, 300, 354, 550)] == [
        False, True, True, True, False, False, False,
    ]  # fmt: skip
