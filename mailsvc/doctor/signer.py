"""A test message through the running milter, in Postfix's own protocol; its signatures are verified. It is not sent."""

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mailsvc.doctor import programs
from mailsvc.doctor.findings import Finding, absent, failed, ok
from mailsvc.doctor.samples import Samples, Signing
from mailsvc.mailhost.layout import Layout
from mailsvc.milter import wire

START = "systemctl restart mailsvc-milter"

BODY = b"This message shows that mail is signed. It is never sent.\r\n"

OFFER = struct.pack("!III", wire.VERSION, 0x1FF, 0x1FFFFF)
"""As Postfix offers it."""


class _Answer(NamedTuple):
    refusal: str
    signatures: Sequence[bytes]


def examine(layout: Layout, samples: Samples) -> Iterator[Finding]:
    """Whether it answers, signs what is to be signed, and signs right."""
    if not layout.milter:
        yield absent("signer", "the configuration was rendered without a milter")
        return
    signing = samples.signing()
    mailbox = samples.mailbox()
    login = signing.login if signing else mailbox.address if mailbox else None
    headers = _headers(login or "nobody@doctor.invalid")
    try:
        answer = _asked(layout.milter, login, headers)
    except (OSError, wire.ProtocolError) as error:
        cause = f"{layout.milter} does not answer ({error}): Postfix says 451 to all mail, senders come again"
        yield failed("signer", cause, START)
        return
    if answer.refusal:
        yield failed("signer", f"a test message of {login} is refused: {answer.refusal}", START)
    elif signing is None:
        yield ok("signer", "it answers")
        yield absent("signature", "there is no mailbox in a domain whose key signs now")
    else:
        yield from _verified(samples, signing, headers, answer.signatures)


def _verified(
    samples: Samples, signing: Signing, headers: Sequence[tuple[bytes, bytes]], signatures: Sequence[bytes]
) -> Iterator[Finding]:
    import dkim

    found = set()
    content = b"".join(name + b":" + value + b"\r\n" for name, value in headers) + b"\r\n" + BODY
    for value in signatures:
        verifier = dkim.DKIM(b"DKIM-Signature:" + value.replace(b"\n", b"\r\n") + b"\r\n" + content)
        try:
            is_good = verifier.verify(dnsfunc=lambda name, timeout=0: _published(samples, name))
        except dkim.DKIMException as error:
            is_good, cause = False, str(error)
        else:
            cause = "it does not verify"
        selector = verifier.signature_fields.get(b"s", b"?").decode(errors="replace")
        found.add(selector)
        if not is_good:
            what = f"the signature {selector} of {signing.domain} is not that of the published key: {cause}"
            yield failed("signature", what, f"mailsvc dkim rotate {signing.domain}")
            return
    if missing := set(signing.selectors) - found:
        # Unless it was switched off this very moment.
        now = samples.texts("SELECT selector FROM dkim_signing_key WHERE domain = ?", signing.domain)
        if missing & now:
            what = f"mail of {signing.domain} is not signed with {', '.join(sorted(missing))}: it reads other data"
            yield failed("signature", what, START)
            return
    yield ok("signature", f"mail of {signing.login} is signed with {', '.join(sorted(found))}, and verifies")


def _published(samples: Samples, name: bytes) -> bytes | None:
    """The text of the DKIM record, its strings joined."""
    contents = samples.contents(name.decode().rstrip("."), "TXT")
    return "".join(next(iter(contents)).split('"')[1::2]).encode() if contents else None


def _headers(author: str) -> Sequence[tuple[bytes, bytes]]:
    values = {
        "From": author, "To": author, "Subject": "Test of the signer", "Date": "Thu, 1 Jan 2026 00:00:00 +0000",
        "Message-ID": "<test@doctor.invalid>",
    }  # fmt: skip
    return [(name.encode(), f" {value}".encode()) for name, value in values.items()]


def _asked(address: str, login: str | None, headers: Sequence[tuple[bytes, bytes]]) -> _Answer:
    """What the milter makes of a message of ``login`` to an address elsewhere. Raises OSError, ProtocolError."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), timeout=programs.LIMIT) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(wire.packet(wire.NEGOTIATE, OFFER))
        answers = wire.packets(stream)
        _next(answers)
        macros = [wire.packet(wire.MACROS, b"M" + _texts("{auth_authen}", login))] if login else []
        sender, recipient = _texts(f"<{login or ''}>"), _texts("<somebody@doctor.invalid>")
        envelope = [wire.packet(wire.MAIL, sender), wire.packet(wire.RECIPIENT, recipient)]
        connection.sendall(b"".join(macros + envelope))
        command, data = _next(answers)
        if command == wire.REPLY:
            return _Answer(_text(data), [])
        content = [
            *(wire.packet(wire.HEADER, name + b"\0" + value + b"\0") for name, value in headers),
            wire.packet(wire.END_OF_HEADERS), wire.packet(wire.BODY, BODY),
            wire.packet(wire.MACROS, b"E" + _texts("i", "doctor")), wire.packet(wire.END_OF_MESSAGE),
        ]  # fmt: skip
        connection.sendall(b"".join(content))
        signatures = []
        while (answer := _next(answers))[0] == wire.INSERT_HEADER:
            signatures.append(answer[1][4:].split(b"\0")[1])
        connection.sendall(wire.packet(wire.QUIT))
    return _Answer(_text(answer[1]) if answer[0] == wire.REPLY else "", signatures)


def _next(answers: Iterator[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    answer = next(answers, None)
    if answer is None:
        raise wire.ProtocolError("it hung up")
    return answer


def _texts(*values: str) -> bytes:
    return b"".join(value.encode() + b"\0" for value in values)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace").replace("%%", "%")
