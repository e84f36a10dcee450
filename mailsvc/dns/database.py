"""Publishing by being served: PowerDNS answers straight from views over this database.

The views show a record from the commit that marks it enabled until the commit that takes the mark away. That commit is
the whole publication: there is no second place to tell, and nothing that could fail on the way.
"""

from mailsvc.core.dns_records import TxtRecord


class ServedViews:
    """A Publisher for records whose row in the store is already what the name server reads."""

    def publish(self, record: TxtRecord) -> None:
        """Nothing to do outside the store: the commit that marks ``record`` enabled makes it visible."""

    def withdraw(self, record: TxtRecord) -> None:
        """Nothing to do outside the store: the commit that takes the mark away makes ``record`` invisible."""
