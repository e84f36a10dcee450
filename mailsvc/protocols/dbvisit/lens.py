"""The installation's SMTP profile as this wire shows it.

Nothing here shows a password. What this wire has no member for (a forced mechanism, a greeting name, a display name
kept apart) ``put`` leaves as it was.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mailsvc.core.smtp_profile import OPPORTUNISTIC, PLAIN, STARTTLS, TLS, SmtpProfile

_SHOWN = {PLAIN: "Plain", OPPORTUNISTIC: "Plain", STARTTLS: "StartTLS", TLS: "TLS"}
"""STARTTLS that is only used when it is offered has no word of its own here. It shows as the one that promises less."""

_MEANT = {"Plain": PLAIN, "StartTLS": STARTTLS, "TLS": TLS}


def get(profile: SmtpProfile) -> dict[str, object]:
    """The six members, in the contract's order."""
    return {
        "allow_selfsigned_certs": not profile.verify,
        "encryption": _SHOWN[profile.security],
        "from_email": profile.sender,
        "smtp_host": profile.host,
        "smtp_port": profile.port,
        "username": profile.username,
    }


def put(profile: SmtpProfile, view: Mapping[str, Any]) -> SmtpProfile:
    """``profile`` with those members that ``view`` has; all others stay."""
    values: dict[str, Any] = {
        name: view[member]
        for member, name in (
            ("from_email", "sender"), ("smtp_host", "host"), ("smtp_port", "port"), ("username", "username"),
        )
        if member in view
    }  # fmt: skip
    if "allow_selfsigned_certs" in view:
        values["verify"] = not view["allow_selfsigned_certs"]
    if "encryption" in view and view["encryption"] != _SHOWN[profile.security]:
        values["security"] = _MEANT[view["encryption"]]
    return replace(profile, **values)
