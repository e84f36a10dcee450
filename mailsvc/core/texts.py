"""What counts as clean text, wherever it comes from."""

import re

# C0, DEL, C1, and the mark that a decoder leaves where the bytes were not UTF-8.
_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")


def is_clean(text: str) -> bool:
    """Whether ``text`` holds no control character and no trace of invalid UTF-8."""
    return _UNCLEAN.search(text) is None


def cleaned(text: str, longest: int) -> str:
    """``text`` without such characters, cut to ``longest`` characters: fit to be shown or logged."""
    return _UNCLEAN.sub("", text)[:longest]
