"""What a password may be. There is no strength rule: legacy panels set their own policy."""

from mailsvc.core.refusals import BadInput

LONGEST = 256
"""Bytes of UTF-8."""


def checked_password(text: str) -> str:
    """``text`` itself if it can be a password: 1 to 256 bytes of UTF-8, no NUL, CR, LF, no trace of invalid UTF-8.

    NUL, CR and LF cannot be typed into a mail client's login. Raises BadInput without the value.
    """
    if not text or any(forbidden in text for forbidden in "\0\r\n\ufffd"):
        raise BadInput(field="password")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInput(field="password") from None
    if size > LONGEST:
        raise BadInput(field="password")
    return text
