"""The DocSpace dialect: SMTP settings of the portal, their test, and the login that it shares with ONLYOFFICE Mail.

``operations.py`` is the table to read next to the contract.
"""

from mailsvc.protocols import Dialect
from mailsvc.protocols.docspace import description, routes

DIALECT = Dialect(
    name="docspace",
    prefixes=("/api/2.0/smtpsettings", "/api/2.0/authentication", "/api/2.0/authentication.json"),
    blueprint=routes.blueprint,
    outside=routes.outside,
    describe=description.describe,
)
