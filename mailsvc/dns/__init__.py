"""Publishing SPF and DKIM records: one module per back-end, the same two functions in each."""

from typing import Protocol

import config
from mailsvc.core.dns_records import TxtRecord


class Publisher(Protocol):
    """Where records are published. Both calls may be repeated: the second one finds the work done and succeeds.

    Both return once the back-end has taken the change, and raise PublishFailed otherwise, within ``TIME_LIMIT``
    seconds. After a PublishFailed it is unknown whether the change reached the world.
    """

    def publish(self, record: TxtRecord) -> None:
        """Make this record, and no other value of ours for its name, visible.

        Foreign records of the name are left alone.
        """

    def withdraw(self, record: TxtRecord) -> None:
        """Make exactly this record invisible."""


TIME_LIMIT = 5.0
"""Seconds that one publish or withdraw may take in all."""


def publisher(settings: config.Settings) -> Publisher:
    """The back-end that ``settings.dns`` names. Only its module is loaded: dnspython alone costs 12 MiB at rest."""
    if settings.dns == "rfc2136":
        from mailsvc.dns.rfc2136 import DynamicUpdates

        return DynamicUpdates(settings)
    if settings.dns == "zonefile":
        from mailsvc.dns.zonefile import ZoneFiles

        return ZoneFiles(settings)
    from mailsvc.dns.database import ServedViews

    return ServedViews()
