"""The Webitel dialect: e-mail settings of a domain as one JSON document, and a test message through them.

``operations.py`` is the table to read next to the contract.
"""

from mailsvc.protocols import Dialect
from mailsvc.protocols.webitel import description, errors, routes

DIALECT = Dialect(
    name="webitel",
    prefixes=("/api/v2", "/login", "/logout", "/engine/api/v2", "/engine/login", "/engine/logout"),
    blueprint=routes.blueprint,
    outside=errors.outside,
    describe=description.describe,
    any_case=True,
)
