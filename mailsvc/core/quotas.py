"""Mailbox quotas in MiB; 0 means unlimited."""

import re

from mailsvc.core.refusals import BadInput

HIGHEST = 2_147_483_647
"""MiB; the largest number that every reader of the database takes."""

_DIGITS = re.compile(r" *0*([0-9]{1,10}) *", re.ASCII)


def quota_mib(text: str) -> int:
    """The quota in MiB that ``text`` writes in ASCII digits, blanks around allowed. Raises BadInput."""
    match = _DIGITS.fullmatch(text)
    if match is None or int(match[1]) > HIGHEST:
        raise BadInput(field="quota")
    return int(match[1])
