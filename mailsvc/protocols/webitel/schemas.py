"""What each operation reads from a body. Members beside these are kept or ignored, never refused."""

from collections.abc import Mapping
from typing import Any

from marshmallow import EXCLUDE, INCLUDE, Schema, fields

from mailsvc.protocols.webitel.truth import truthy


class Login(Schema):
    """Who logs in. The user name decides whether the password is even looked at."""

    class Meta:
        unknown = EXCLUDE

    username = fields.Raw(required=True, metadata={"type": "string"})
    password = fields.Raw(metadata={"type": "string"})


class Settings(Schema):
    """The document. Only whether ``provider`` and ``options`` are true is asked; whatever else is sent is kept."""

    class Meta:
        unknown = INCLUDE

    provider = fields.Raw(required=True, metadata={"example": "smtp"})
    options = fields.Raw(required=True, metadata={"type": "object"})


class Test(Schema):
    """Recipients of the test message: one, several with commas, or a list."""

    class Meta:
        unknown = EXCLUDE

    to = fields.Raw(metadata={"example": "a@b.example"})


def is_complete(members: Mapping[str, Any]) -> bool:
    """What is asked of a document."""
    return truthy(members.get("provider")) and truthy(members.get("options"))


LOGIN, SETTINGS, TEST = Login(), Settings(), Test()
