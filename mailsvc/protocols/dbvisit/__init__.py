"""The Dbvisit dialect: the installation's e-mail settings as ``/email-settings/*``, JSON in one envelope, in English.

``operations.py`` is the table to read next to the contract.
"""

from mailsvc.protocols import Dialect
from mailsvc.protocols.dbvisit import description, errors, routes

DIALECT = Dialect(
    name="dbvisit",
    prefixes=("/email-settings", "/api/email-settings", "/api/login", "/api/logout"),
    blueprint=routes.blueprint,
    outside=errors.outside,
    describe=description.describe,
)
