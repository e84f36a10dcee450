"""Sendmail's milter protocol, version 6, as Postfix speaks it: packets, commands, and what is agreed on at the start.

A packet is its length (4 bytes, big-endian), a letter, and data; texts in it end with a zero byte. The names of the
constants are those of Sendmail's libmilter (include/libmilter/mfdef.h), which is the protocol's only specification.
"""

import struct
from collections.abc import Iterable, Iterator
from io import BufferedReader

VERSION = 6

LONGEST = 1 << 20
"""Bytes of one packet. Postfix sends bodies in pieces of 64 KiB, and a header whole (header_size_limit, 100 KiB)."""

NEGOTIATE, MACROS, MAIL, RECIPIENT, HEADER, END_OF_HEADERS, BODY, END_OF_MESSAGE, ABORT, QUIT, NEXT = (
    b"O", b"D", b"M", b"R", b"L", b"N", b"B", b"E", b"A", b"Q", b"K",
)  # fmt: skip
"""Commands that mean something here: SMFIC_OPTNEG, MACRO, MAIL, RCPT, HEADER, EOH, BODY, BODYEOB, ABORT, QUIT,
QUIT_NC."""

CONTINUE, ACCEPT, REPLY, INSERT_HEADER, CHANGE_HEADER = b"c", b"a", b"y", b"i", b"m"
"""Answers: SMFIR_CONTINUE, ACCEPT, REPLYCODE, INSHEADER, CHGHEADER."""

UNANSWERED = {MACROS, ABORT, QUIT, NEXT}

ADD_HEADERS, CHANGE_HEADERS = 0x01, 0x10
"""What may be done to a message: SMFIF_ADDHDRS, SMFIF_CHGHDRS."""

NO_CONNECT, NO_HELO, NO_UNKNOWN, NO_DATA = 0x01, 0x02, 0x100, 0x200
"""Steps that need not be told: SMFIP_NOCONNECT and its like."""

SILENT = {HEADER: 0x80, MAIL: 0x4000, END_OF_HEADERS: 0x40000, BODY: 0x80000}
"""Steps that need no answer: SMFIP_NR_HDR and its like. They come in one go, without a round trip each."""

LEADING_SPACE = 0x100000
"""SMFIP_HDR_LEADSPC: header values come, and go, with the blank after the colon."""

ACTIONS = ADD_HEADERS | CHANGE_HEADERS
STEPS = NO_CONNECT | NO_HELO | NO_UNKNOWN | NO_DATA | LEADING_SPACE | sum(SILENT.values())


class ProtocolError(Exception):
    """The other side speaks something else, or cannot do what is needed."""


def packets(stream: BufferedReader) -> Iterator[tuple[bytes, bytes]]:
    """Commands with their data, until the other side closes. Raises ProtocolError, OSError."""
    while head := stream.read(4):
        length = int.from_bytes(head, "big")
        if len(head) < 4 or not 0 < length <= LONGEST:
            raise ProtocolError(f"a packet of {length} bytes")
        packet = stream.read(length)
        if len(packet) < length:
            raise ProtocolError("the connection ended within a packet")
        yield packet[:1], packet[1:]


def packet(command: bytes, data: bytes = b"") -> bytes:
    """One packet to be sent."""
    return (len(data) + 1).to_bytes(4, "big") + command + data


def texts(data: bytes) -> list[bytes]:
    """The zero-terminated texts that ``data`` consists of."""
    return data.split(b"\0")[:-1]


def macros(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The command that macros belong to, and their values; names come without braces."""
    values = [text.decode("utf-8", "replace") for text in texts(data[1:])]
    names = [name.removeprefix("{").removesuffix("}") for name in values[::2]]
    return data[:1], dict(zip(names, values[1::2], strict=False))


def agreement(data: bytes) -> tuple[int, bytes]:
    """What both sides do of what is wanted here, and the packet that says so. Raises ProtocolError."""
    if len(data) < 12:
        raise ProtocolError("an offer of options that is too short")
    version, actions, steps = struct.unpack_from("!III", data)
    if version < VERSION or actions & ACTIONS != ACTIONS or not steps & LEADING_SPACE:
        raise ProtocolError(f"milter protocol {version} with actions {actions:#x} and steps {steps:#x} is too little")
    agreed = steps & STEPS
    return agreed, packet(NEGOTIATE, struct.pack("!III", VERSION, ACTIONS, agreed))


def reply(text: str) -> bytes:
    """The answer ``text`` to the SMTP client: code, enhanced code, words. A percent sign would have to be doubled."""
    return packet(REPLY, text.replace("%", "%%").encode() + b"\0")


def insertion(name: bytes, value: bytes) -> bytes:
    """Put a header before all others. ``value`` begins with the blank after the colon; its lines end with LF."""
    return packet(INSERT_HEADER, bytes(4) + name + b"\0" + value + b"\0")


def deletions(name: bytes, ordinals: Iterable[int]) -> Iterator[bytes]:
    """Remove headers; the first one called ``name`` is number 1. The last goes first, so that others keep theirs."""
    for ordinal in sorted(ordinals, reverse=True):
        yield packet(CHANGE_HEADER, ordinal.to_bytes(4, "big") + name + b"\0\0")
