"""How this wire sees an SMTP profile: ``get`` makes its view of one, ``put`` the next profile of the old and a view.

The view knows TLS or no TLS. What it cannot say (which way to TLS, whether certificates are checked, the mechanism, the
EHLO name) stays as it was, as long as what it can say does.
"""

from dataclasses import dataclass, replace
from typing import Any

from mailsvc.core.addresses import name_and_address
from mailsvc.core.smtp_profile import PLAIN, STARTTLS, TLS, SmtpProfile

NAME = "ONLYOFFICE Postman"
"""The sender's name where none was set."""

LONGEST = 255
IMPLICIT_TLS_PORT = 465


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The settings, without the password. None is a member that is left out."""

    host: str | None
    port: int
    sender_address: str | None
    sender_display_name: str | None
    user_name: str | None
    enable_ssl: bool

    @property
    def enable_auth(self) -> bool:
        return self.user_name is not None


NOTHING = View(host=None, port=25, sender_address=None, sender_display_name=None, user_name=None, enable_ssl=False)
"""What is seen where nothing was set."""

NOTHING_OF_A_TENANT = replace(NOTHING, port=0)
"""The same, as one of many tenants sees it."""


def get(profile: SmtpProfile) -> View:
    """The view of a portal profile."""
    return View(
        host=profile.host,
        port=profile.dialled_port,
        sender_address=profile.sender,
        sender_display_name=profile.sender_name,
        user_name=profile.username or None,
        enable_ssl=profile.security != PLAIN,
    )


def put(profile: SmtpProfile, view: View) -> SmtpProfile:
    """The portal profile that ``view`` makes of ``profile``."""
    same_line = view.port == profile.dialled_port and view.enable_ssl == (profile.security != PLAIN)
    return replace(
        profile,
        host=view.host or "",
        port=profile.port if view.port == profile.dialled_port and same_line else view.port,
        security=profile.security if same_line else _security(view),
        username=view.user_name or "",
        sender=view.sender_address or "",
        sender_name=view.sender_display_name or "",
    )


def _security(view: View) -> str:
    if not view.enable_ssl:
        return PLAIN
    return TLS if view.port == IMPLICIT_TLS_PORT else STARTTLS


def get_installation(profile: SmtpProfile) -> View:
    """The view of the installation's profile, whose sender is ``a@b.example`` or ``Name <a@b.example>``."""
    # What is neither is shown as it is; sending finds fault with it.
    name, address = name_and_address(profile.sender)
    return replace(
        get(profile),
        sender_address=address if 0 < len(address) <= LONGEST else None,
        sender_display_name=name or NAME,
    )


def named(view: View) -> View:
    """``view`` with a sender's name in any case."""
    return view if view.sender_display_name != "" else replace(view, sender_display_name=NAME)


def members(view: View, *, is_default: bool) -> dict[str, Any]:
    """The settings object of the wire, members in its order. The password is never shown."""
    every = {
        "host": view.host,
        "port": view.port,
        "senderAddress": view.sender_address,
        "senderDisplayName": view.sender_display_name,
        "credentialsUserName": view.user_name,
        "credentialsUserPassword": "",
        "enableSSL": view.enable_ssl,
        "enableAuth": view.enable_auth,
        "useNtlm": False,
        "isDefaultSettings": is_default,
    }
    return {name: value for name, value in every.items() if value is not None}
