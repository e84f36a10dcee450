"""One connection of Postfix's: the messages of one SMTP session, one after another."""

import re
import socket
from collections.abc import Iterator
from typing import Protocol

from mailsvc.milter import results, wire
from mailsvc.milter.messages import Message, Verdict


class Judging(Protocol):
    """Who decides; nothing of it raises anything."""

    def recipient(self, message: Message, recipient: str) -> str | None:
        """The reply that refuses a further recipient; None takes it."""

    def verdict(self, message: Message) -> Verdict:
        """What becomes of the whole message."""


class Session:
    """Reads what Postfix tells and answers what ``judge`` decides."""

    def __init__(self, connection: socket.socket, judge: Judging) -> None:
        self._connection = connection
        self._judge = judge
        self._silent: set[bytes] = set()
        self._macros: dict[bytes, dict[str, str]] = {}
        self._message: Message | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it is between two messages."""
        return self._message is None

    def run(self) -> None:
        """Serve until Postfix closes. Raises ProtocolError, OSError."""
        with self._connection.makefile("rb") as stream:
            for command, data in wire.packets(stream):
                if command == wire.QUIT:
                    return
                answer = b"".join(self._answers(command, data))
                if answer:
                    self._connection.sendall(answer)

    def _answers(self, command: bytes, data: bytes) -> Iterator[bytes]:
        if command == wire.NEGOTIATE:
            agreed, answer = wire.agreement(data)
            self._silent = {step for step, flag in wire.SILENT.items() if agreed & flag}
            yield answer
        elif command == wire.END_OF_MESSAGE:
            yield from self._end(data)
        else:
            refusal = self._take(command, data)
            if refusal is not None:
                yield wire.reply(refusal)
            elif command not in self._silent | wire.UNANSWERED:
                yield wire.packet(wire.CONTINUE)

    def _take(self, command: bytes, data: bytes) -> str | None:
        """The reply that refuses this step, or None."""
        if command == wire.MACROS:
            step, values = wire.macros(data)
            self._macros[step] = values
        elif command == wire.MAIL:
            login = self._macros.get(wire.MAIL, {}).get("auth_authen") or None
            self._message = Message(login, announced=_size(wire.texts(data)[1:]))
        elif command in (wire.ABORT, wire.NEXT):
            self._forget()
        elif command == wire.RECIPIENT:
            return self._take_recipient(self._begun(), wire.texts(data))
        elif command == wire.HEADER:
            name, value = (*wire.texts(data), b"", b"")[:2]
            self._begun().add_header(name, value)
        elif command == wire.BODY:
            self._begun().add_body(data)
        return None

    def _take_recipient(self, message: Message, words: list[bytes]) -> str | None:
        path = words[0].decode("utf-8", "replace") if words else ""
        recipient = path.removeprefix("<").removesuffix(">")
        refusal = self._judge.recipient(message, recipient)
        if refusal is None:
            message.recipients.append(recipient)
        return refusal

    def _end(self, data: bytes) -> Iterator[bytes]:
        message = self._begun()
        if data:
            message.add_body(data)
        message.queue_id = next((found["i"] for found in self._macros.values() if found.get("i")), "-")
        verdict = self._judge.verdict(message)
        # Between messages from here: what is left is an answer of few bytes.
        self._forget()
        if verdict.reply is not None:
            yield wire.reply(verdict.reply)
            return
        yield from wire.deletions(results.NAME, verdict.forged)
        for value in verdict.signatures:
            yield wire.insertion(b"DKIM-Signature", value)
        yield wire.packet(wire.CONTINUE)

    def _forget(self) -> None:
        """Let nothing of this message, nor of who sent it, be taken for the next one's."""
        self._message = None
        self._macros.clear()

    def _begun(self) -> Message:
        if self._message is None:
            raise wire.ProtocolError("a part of a message before MAIL")
        return self._message


def _size(parameters: list[bytes]) -> int:
    """The size that the parameters of MAIL announce (RFC 1870), or 0."""
    found = [re.fullmatch(rb"SIZE=([0-9]{1,18})", word, re.IGNORECASE) for word in parameters]
    return next((int(match[1]) for match in found if match), 0)
