"""The ONLYOFFICE Mail dialect: external mail accounts at ``/api/2.0/mail``. Its login is the DocSpace dialect's.

``operations.py`` is the table to read next to the contract.
"""

from mailsvc.protocols import Dialect
from mailsvc.protocols.onlyoffice_mail import description, routes

DIALECT = Dialect(
    name="onlyoffice_mail",
    prefixes=("/api/2.0/mail",),
    blueprint=routes.blueprint,
    outside=routes.outside,
    describe=description.describe,
)
