"""One message to one server, for tests."""

from typing import Any

import pytest

import config
from mailsvc.core.smtp_profile import PLAIN, SmtpProfile
from mailsvc.courier.routes import Limits, Route, SendFailed
from mailsvc.courier.smtp import Delivery, Message, send
from mailsvc.courier.targets import Targets

TARGETS = Targets(config.load({}).smtp_deny_networks)

CONTENT = b"From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nHello\r\n"
MESSAGE = Message("a@example.com", ["b@example.com"], CONTENT)

QUICK = Limits(connect=0.3, greeting=0.3, reply=0.3, total=10)
"""Time limits for servers that will not keep them."""


def route(
    port: int,
    security: str = PLAIN,
    *,
    host: str = "127.0.0.1",
    username: str = "",
    password: str | None = None,
    mechanism: str | None = None,
    ehlo_name: str = "",
    **more: Any,
) -> Route:
    """The way to a server of this machine."""
    profile = SmtpProfile(
        host=host, port=port, security=security, username=username, mechanism=mechanism, ehlo_name=ehlo_name
    )
    return Route(**{"profile": profile, "password": password, "ehlo_name": "mail.server.test", "verify": True} | more)


def sent(port: int, security: str = PLAIN, message: Message = MESSAGE, **more: Any) -> Delivery:
    """What became of a message that was handed in."""
    return send(TARGETS, route(port, security, **more), message)


def failure(port: int, security: str = PLAIN, message: Message = MESSAGE, **more: Any) -> SendFailed:
    """Why a message was not handed in."""
    with pytest.raises(SendFailed) as caught:
        sent(port, security, message, **more)
    return caught.value
