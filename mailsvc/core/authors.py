"""Who a From or Sender header says wrote a message (RFC 5322, section 3.6.2), read as strictly as mail allows.

A header that two programs could read differently would let one of them see somebody else as the author. So this takes
only what every reader agrees on: mailboxes divided by commas, each an address alone or a display name with the address
in one pair of angle brackets at its end. Groups, routes, quoted local parts, address literals and the obsolete forms of
RFC 5322, section 4, are not understood, and angle brackets may stand nowhere else, whatever quotes or encodes them.
"""

import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator, Sequence
from email.quoprimime import header_decode
from typing import NamedTuple

from mailsvc.core.addresses import Address, mail_address
from mailsvc.core.refusals import BadInput

MOST = 100
"""Authors of one message. Nobody has more, and each costs a look-up."""


class Unclear(Exception):
    """The header does not clearly say who the author is. The text completes the sentence "the From header ..."."""


class _Token(NamedTuple):
    kind: str
    text: str


_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+)
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<sign>[<>@,.:;\[\]])
      | (?P<atom>[^ \t<>()@,.:;\[\]"\\]+)""",
    re.VERBOSE,
)
_COMMENT_PART = re.compile(r"(?:[^()\\]|\\.)*")
_ENCODED = re.compile(r"=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")

_SLOW = {"idna", "punycode"}
"""Not character sets of mail, and their time grows with the square of the length."""


def authors(value: bytes) -> Sequence[Address]:
    """The mailboxes that the value of a From header names, in canonical form. Raises Unclear."""
    text = _unfolded(value)
    _refuse_disguise(text)
    elements = list(_elements(list(_tokens(text))))
    if len(elements) > MOST:
        raise Unclear("names too many addresses")
    return [_mailbox(element) for element in elements]


def _unfolded(value: bytes) -> str:
    """The value in one line. What is not UTF-8 can only be part of a name, and stands for nothing there."""
    text = re.sub(r"\r?\n(?=[ \t])", "", value.decode("utf-8", "replace")).strip("\r\n")
    _refuse_controls(text.replace("\t", " "))
    return text


def _refuse_controls(text: str) -> None:
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in text):
        raise Unclear("holds control characters")


def _refuse_disguise(text: str) -> None:
    """Nothing encoded may turn into brackets, or into control characters, in a program that decodes before it reads."""
    for charset, encoding, encoded in _ENCODED.findall(text):
        shown = _decoded(charset, encoding, encoded)
        _refuse_controls(shown)
        if "<" in shown or ">" in shown:
            raise Unclear("holds encoded angle brackets")


def _decoded(charset: str, encoding: str, encoded: str) -> str:
    """The text of an encoded word (RFC 2047)."""
    try:
        if codecs.lookup(charset).name in _SLOW:
            raise LookupError(charset)
        if encoding in "bB":
            return binascii.a2b_base64(encoded.encode()).decode(charset, "replace")
        return header_decode(encoded).encode("latin-1").decode(charset, "replace")
    except (LookupError, ValueError):
        raise Unclear("holds an encoded word that cannot be read") from None


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        if text[at] == "(":
            end = _end_of_comment(text, at)
            yield _Token("comment", text[at:end])
        elif match := _TOKEN.match(text, at):
            end = match.end()
            yield _Token(match.lastgroup or "", match[0])
        else:
            raise Unclear("cannot be read: a quotation mark, parenthesis or backslash stands alone")
        at = end


def _end_of_comment(text: str, start: int) -> int:
    depth, at = 0, start
    while at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
        part = _COMMENT_PART.match(text, at + 1)
        at = part.end() if part else len(text)
    raise Unclear("holds a comment without an end")


def _elements(tokens: Sequence[_Token]) -> Iterator[Sequence[_Token]]:
    """What the commas divide."""
    element: list[_Token] = []
    for token in tokens:
        if token == _Token("sign", ","):
            yield element
            element = []
        else:
            element.append(token)
    yield element


def _mailbox(tokens: Sequence[_Token]) -> Address:
    for token in tokens:
        if token.kind in ("quoted", "comment") and re.search("[<>]", token.text):
            raise Unclear("holds angle brackets within a name or a comment")
        if token.kind == "sign" and token.text in ":;[]":
            raise Unclear("holds a group, a route or an address literal")
    brackets = [index for index, token in enumerate(tokens) if token.kind == "sign" and token.text in "<>"]
    if not brackets:
        return _address(_without_gaps(tokens, "blank", "comment"))
    if len(brackets) != 2 or tokens[brackets[0]].text != "<" or tokens[brackets[1]].text != ">":
        raise Unclear("holds angle brackets that are not one pair around each address")
    opening, closing = brackets
    name, rest = (_without_gaps(part, "blank", "comment") for part in (tokens[:opening], tokens[closing + 1 :]))
    if rest or any(token == _Token("sign", "@") for token in name) or name[:1] == [_Token("sign", ".")]:
        raise Unclear("holds more than a name and its address between two commas")
    return _address(_without_gaps(tokens[opening + 1 : closing], "blank"))


def _without_gaps(tokens: Sequence[_Token], *kinds: str) -> Sequence[_Token]:
    """The tokens without those of ``kinds`` at both ends."""
    start, end = 0, len(tokens)
    while start < end and tokens[start].kind in kinds:
        start += 1
    while end > start and tokens[end - 1].kind in kinds:
        end -= 1
    return tokens[start:end]


def _address(tokens: Sequence[_Token]) -> Address:
    if not tokens:
        raise Unclear("names nobody where an address should be")
    if any(token.kind not in ("atom", "sign") for token in tokens):
        raise Unclear("holds an address that is not a plain one")
    try:
        return mail_address("".join(token.text for token in tokens))
    except BadInput:
        raise Unclear("holds an address that is not a plain one") from None
