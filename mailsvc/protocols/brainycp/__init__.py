"""The BrainyCP form dialect: ``module/operation`` form posts, numeric codes, English and Russian texts.

``operations.py`` is the table to read next to the contract.
"""

from mailsvc.protocols import Dialect
from mailsvc.protocols.brainycp import description, errors, routes

DIALECT = Dialect(
    name="brainycp",
    prefixes=("/api/api.php", "/mailclient"),
    blueprint=routes.blueprint,
    outside=errors.outside,
    describe=description.describe,
)
