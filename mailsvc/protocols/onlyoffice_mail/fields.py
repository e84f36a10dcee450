"""The types of this wire (contract, section 3.1): strict, but for numbers and truth values that come as text.

What is missing, null or an empty text is the type's default. A field that refuses raises ValidationError with the
Failure that its caller is told.
"""

import re
from typing import Any

from marshmallow import ValidationError, fields

from mailsvc.core.texts import cleaned
from mailsvc.protocols.onlyoffice_mail.errors import (
    NOT_A_NUMBER,
    NOT_A_TRUTH,
    OUT_OF_RANGE,
    Failure,
    unknown_value,
)

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,12}\s*", re.ASCII)

_INT32 = range(-(2**31), 2**31)


def refused(failure: Failure) -> ValidationError:
    """The refusal that carries ``failure``."""
    return ValidationError([failure])


class Wire(fields.Field[Any]):
    """A field that is never missing: ``default`` stands for what is absent, null or empty."""

    default: Any = None

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_none=True, load_default=self.default, **options)

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **more: Any) -> Any:
        """The value, or the default."""
        return self.default if value is None or value == "" else super().deserialize(value, attr, data, **more)


class Text(Wire):
    """A text; a number is taken for its digits."""

    default = ""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused(OUT_OF_RANGE)
        return str(value)


class OptionalText(Text):
    """A text of which absent (or null) and empty are two things."""

    default: Any = None

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **more: Any) -> Any:
        """The value, None when it is absent."""
        return "" if value == "" else super().deserialize(value, attr, data, **more)


class Number(Wire):
    """A whole number of 32 bits."""

    default = 0

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        number = whole(value)
        if number is None:
            raise refused(NOT_A_NUMBER)
        return number


class Truth(Wire):
    """True or false."""

    default = False

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in ("true", "false"):
            raise refused(NOT_A_TRUTH)
        return word == "true"


class Choice(Wire):
    """A number with names."""

    default = 0

    def __init__(self, names: dict[str, int], **options: Any) -> None:
        super().__init__(**options)
        self._names = {name.lower(): number for name, number in names.items()}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        number = whole(value)
        if number is not None:
            return number
        if isinstance(value, str) and (known := self._names.get(value.strip().lower())) is not None:
            return known
        raise refused(unknown_value(cleaned(value, 255)) if isinstance(value, str) else NOT_A_NUMBER)


def whole(value: Any) -> int | None:
    """The whole number that ``value`` is or spells, None if it is none of 32 bits."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    return value if type(value) is int and value in _INT32 else None
