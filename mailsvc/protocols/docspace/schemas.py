"""What a save reads: the types of JSON first, then what each member may hold, then what they must be together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from mailsvc.protocols import asc_wire, json_bodies
from mailsvc.protocols.asc_wire import ARGUMENT, ARGUMENT_NULL
from mailsvc.protocols.docspace.errors import Failure
from mailsvc.protocols.docspace.lens import LONGEST


def _not_converted(path: str) -> str:
    return f"The JSON value could not be converted. Path: {path}"


NOT_JSON: Mapping[str, Sequence[str]] = {"$": [_not_converted("$")]}
"""What is wrong with a body that is not a JSON object."""

NO_BODY = "A non-empty request body is required."

PORT_DIGITS = 20
"""Of a number in a string: more are no port, and endless ones cost time to read."""


class Invalid(Exception):
    """A body with a member, or several, that cannot be. ``errors`` has the texts by name, as the wire shows them."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(*errors)
        self.errors = errors


class NotSaved(Exception):
    """The members do not go together."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _WrongType(ValidationError):
    """The JSON value is not of the member's type."""


def _wrong_type() -> _WrongType:
    return _WrongType("")


class Text(fields.Field[Any]):
    """A string or null."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if not isinstance(value, str):
            raise _wrong_type()
        return value


class Switch(fields.Field[Any]):
    """True or false."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if not isinstance(value, bool):
            raise _wrong_type()
        return value


class Whole(fields.Field[Any]):
    """A whole number, or a string that holds one."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        digits = value.removeprefix("-") if isinstance(value, str) else ""
        if not (digits.isascii() and digits.isdigit() and len(digits) <= PORT_DIGITS):
            raise _wrong_type()
        return int(value)


def _short(name: str) -> Callable[[str | None], None]:
    def check(text: str | None) -> None:
        if text is not None and len(text) > LONGEST:
            raise ValidationError(f"The field {name} must be a string with a maximum length of {LONGEST}.")

    return check


def _one_line(name: str) -> Callable[[str | None], None]:
    def check(text: str | None) -> None:
        if text is not None and any(forbidden in text for forbidden in "\r\n\0"):
            raise ValidationError(f"The field {name} contains characters that are not allowed.")

    return check


def _port(number: int | None) -> None:
    if number is not None and not 1 <= number <= 65535:
        raise ValidationError("The field Port must be between 1 and 65535.")


def _text(wire: str, description: str, *, any_length: bool = False) -> Text:
    name = pascal(wire)
    rules = [_one_line(name)] if any_length else [_short(name), _one_line(name)]
    return Text(data_key=wire, load_default=None, allow_none=True, validate=rules,
                metadata={"type": "string", "description": description}
                | ({} if any_length else {"maxLength": LONGEST}))  # fmt: skip


def _switch(wire: str, description: str) -> Switch:
    return Switch(data_key=wire, load_default=False, metadata={"type": "boolean", "description": description})


def pascal(wire: str) -> str:
    """The name of a member in error texts."""
    return wire[0].upper() + wire[1:]


class SmtpSettings(Schema):
    """The body of a save."""

    class Meta:
        unknown = EXCLUDE

    host = _text("host", "Name or address of the SMTP server.")
    port = Whole(
        data_key="port",
        load_default=None,
        allow_none=True,
        validate=_port,
        metadata={"type": ["integer", "string"], "description": "1 to 65535; 25 unless said."},
    )
    sender_address = _text("senderAddress", "Envelope sender and From.")
    sender_display_name = _text("senderDisplayName", "Name in From; may be empty, not left out.")
    user_name = _text("credentialsUserName", "Needed with enableAuth, else dropped.")
    password = _text("credentialsUserPassword", "Needed with enableAuth, else dropped; never shown.", any_length=True)
    enable_ssl = _switch("enableSSL", "TLS: from the first byte on port 465, else by STARTTLS, which is then required.")
    enable_auth = _switch("enableAuth", "Whether to authenticate.")
    use_ntlm = _switch("useNtlm", "Ignored.")
    is_default = _switch("isDefaultSettings", "Ignored.")


SMTP_SETTINGS = SmtpSettings()

_WIRE = {str(field.data_key).lower(): str(field.data_key) for field in SMTP_SETTINGS.fields.values()}


def read(body: bytes) -> Mapping[str, Any]:
    """The members of ``body``, each of its type and within its bounds. Raises Invalid."""
    sent = _members(body)
    by_wire = {wire: sent[folded] for folded, wire in _WIRE.items() if folded in sent}
    try:
        loaded: Mapping[str, Any] = SMTP_SETTINGS.load(by_wire)
    except ValidationError as refusal:
        raise Invalid(_errors(refusal.messages_dict)) from None
    return loaded


def _members(body: bytes) -> Mapping[str, Any]:
    if not body:
        raise Invalid({"": [NO_BODY]})
    try:
        return asc_wire.members(body)
    except (json_bodies.NotJson, json_bodies.UnsafeJson, asc_wire.NotAnObject):
        raise Invalid(NOT_JSON) from None


def _errors(messages: Mapping[str, list[str]]) -> Mapping[str, Sequence[str]]:
    """Of both steps the first alone is told."""
    types = [wire for wire, texts in messages.items() if not all(texts) or texts == [_NULL]]
    if types:
        return {f"$.{wire}": [_not_converted(f"$.{wire}")] for wire in types}
    return {pascal(wire): texts for wire, texts in messages.items()}


_NULL = fields.Field.default_error_messages["null"]


SAVE_RULES: Sequence[tuple[Callable[[Mapping[str, Any]], bool], Failure]] = (
    (lambda sent: not sent["host"],
     Failure(400, "Empty smtp host. (Parameter 'host')", "System.ArgumentException", ARGUMENT)),
    (lambda sent: not sent["sender_address"],
     Failure(400, "Empty sender address. (Parameter 'senderAddress')", "System.ArgumentException", ARGUMENT)),
    (lambda sent: sent["sender_display_name"] is None,
     Failure(400, "Value cannot be null. (Parameter 'senderDisplayName')", "System.ArgumentNullException",
             ARGUMENT_NULL)),
    (lambda sent: sent["enable_auth"] and not sent["user_name"],
     Failure(400, "Empty user name. (Parameter 'userName')", "System.ArgumentException", ARGUMENT)),
    (lambda sent: sent["enable_auth"] and not sent["password"],
     Failure(400, "Empty password. (Parameter 'password')", "System.ArgumentException", ARGUMENT)),
)  # fmt: skip
"""What a save asks of its members together, in this order; the first that holds is answered."""


def refuse_incomplete(sent: Mapping[str, Any]) -> None:
    """Raises NotSaved."""
    for is_wrong, failure in SAVE_RULES:
        if is_wrong(sent):
            raise NotSaved(failure)
