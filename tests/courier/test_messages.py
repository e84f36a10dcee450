"""Messages that mailsvc writes, as the RFCs want them: read back by the standard library, and by the byte."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsvc.courier.messages import as_sent, compose, message_id, to_send

PLAIN_TEXT: dict[str, Any] = {
    "sender": "a@example.com", "recipients": ["b@b.example"], "subject": "Test email", "text": "Hello.\n"
}  # fmt: skip


def read(message: EmailMessage) -> Any:
    """The message as its recipient's program reads it."""
    return message_from_bytes(as_sent(message).replace(b"\r\n", b"\n"), policy=SMTPUTF8)


def test_the_headers_that_a_message_must_have() -> None:
    message = read(compose(**PLAIN_TEXT))
    assert message["From"] == "a@example.com" and message["To"] == "b@b.example"
    assert message["Subject"] == "Test email" and message["MIME-Version"] == "1.0"
    assert abs(message["Date"].datetime - datetime.now(UTC)) < timedelta(hours=1)
    assert re.search(rb"^Date: \w{3}, \d{2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r$", as_sent(compose(**PLAIN_TEXT)), re.M)
    assert re.fullmatch(r"<[0-9]+\.[0-9a-f]+@example\.com>", message["Message-ID"])
    assert "Auto-Submitted" not in message
    assert message.get_content_type() == "text/plain" and message.get_content() == "Hello.\n"
    assert message.defects == []


def test_every_message_has_an_id_of_its_own() -> None:
    ids = {message_id(compose(**PLAIN_TEXT)) for _ in range(100)}
    assert len(ids) == 100 and not any("<" in one or ">" in one for one in ids)


def test_what_is_automatic_says_so() -> None:
    assert read(compose(**PLAIN_TEXT, automatic=True))["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "name", ["Jürgen Müller", "Doe, John", 'The "One"', "Почтовая служба " * 8 + "у нас", "日本", "a <b@c>"]
)
def test_names_come_through(name: str) -> None:
    message = compose(**PLAIN_TEXT, sender_name=name)
    content = as_sent(message)
    (header,) = re.findall(rb"^From: (.*(?:\r\n .*)*)\r$", content, re.M)
    shown, _, address = str(make_header(decode_header(header.decode("ascii")))).rpartition(" <")
    assert address == "a@example.com>"
    assert re.sub(r"\\(.)", r"\1", shown.strip('"') if name[-1] != '"' else shown[1:-1]) == name.strip()
    assert content.isascii() and max(map(len, content.split(b"\r\n"))) <= 78


HIDDEN_LINE_END = "=?utf-8?q?a=0d=0aBcc:_c@x.test?="


@pytest.mark.parametrize(
    "name",
    [
        HIDDEN_LINE_END,
        f'"{HIDDEN_LINE_END}"',
        f"The {HIDDEN_LINE_END}",
        "=?utf-8?b?YQ0KQmNjOiBjQHgudGVzdA==?=",
        "=?utf-8?q?=2C_c=40x=2Etest?=",
        "a" * 80 + ", c@x.test",
        "a" * 80 + '"',
        "a" * 80 + "\\",
        "Doe, John <c@x.test> " * 12,
        "a\x0bb\x1bc\u2028d\te",
        "я, c@x.test " * 20,
    ],
)
@pytest.mark.parametrize("sender", ["a@example.com", "почта@example.com"])
def test_a_name_stays_a_name(sender: str, name: str) -> None:
    message = compose(**PLAIN_TEXT | {"sender": sender}, sender_name=name)
    content = as_sent(message)
    assert message_from_bytes(content).keys() == compose(**PLAIN_TEXT).keys()
    (header,) = re.findall(rb"^From: (.*(?:\r\n .*)*)\r$", content, re.M)
    unfolded = header.decode().replace("\r\n", "")
    words, _, address = unfolded.rpartition("<")
    assert address == f"{sender}>" and str(make_header(decode_header(words))).rstrip() == name.rstrip()
    read_again: Any = SMTPUTF8.header_factory("From", unfolded)
    assert [one.addr_spec for one in read_again.addresses] == [sender] == [to_send(message).sender]
    assert max(map(len, content.split(b"\r\n"))) <= 78


def test_text_and_html() -> None:
    message = read(compose(**PLAIN_TEXT, html="<p>Grüße</p>\n"))
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content() for part in message.iter_parts()] == ["Hello.\n", "<p>Grüße</p>\n"]


LONG = "a" * 64 + "@" + ".".join(["b" * 60] * 3) + ".com"


LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""What Python, but no mail program, takes for the end of a line; and CR, which comes back as LF."""


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters=LINE_ENDS)))
def test_any_text_comes_through_in_short_lines(text: str) -> None:
    message = compose(**PLAIN_TEXT | {"text": text, "recipients": [LONG] * 20})
    content = as_sent(message)
    assert read(message).get_content().rstrip("\n") == text.rstrip("\n")
    assert (
        content.isascii() and b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b"")
    )
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert max(len(line) for line in content.partition(b"\r\n\r\n")[2].split(b"\r\n")) <= 78


def test_many_and_long_recipients_come_through() -> None:
    recipients = [f"{number}{LONG[2:]}" for number in range(10, 30)]
    message = compose(**PLAIN_TEXT | {"recipients": recipients})
    assert [address.addr_spec for address in read(message)["To"].addresses] == recipients
    assert to_send(message).recipients == recipients


def test_unicode_addresses_need_smtputf8_and_nothing_else_does() -> None:
    message = compose(**PLAIN_TEXT | {"recipients": ["почта@example.com"]})
    assert "почта@example.com".encode() in as_sent(message)
    assert to_send(message).recipients == ["почта@example.com"]
    assert as_sent(compose(**PLAIN_TEXT | {"subject": "Привет", "text": "Привет"}, sender_name="Я")).isascii()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("field", ["subject", "sender_name", "sender"])
def test_no_header_can_be_put_in(field: str, end: str) -> None:
    evil = f"x{end}Bcc: c@x.test"
    with pytest.raises(ValueError):
        as_sent(compose(**PLAIN_TEXT | {field: evil + "@x.test" if field == "sender" else evil}))
    with pytest.raises(ValueError):
        as_sent(compose(**PLAIN_TEXT | {"recipients": [f"b{end}Bcc: c@x.test"]}))


def test_the_envelope_is_what_the_headers_say() -> None:
    message = compose(**PLAIN_TEXT | {"recipients": ["b@b.example", "c@c.example"]}, sender_name="Somebody")
    envelope = to_send(message)
    assert (envelope.sender, list(envelope.recipients)) == ("a@example.com", ["b@b.example", "c@c.example"])
    assert envelope.content == as_sent(message)
