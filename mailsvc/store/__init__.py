"""The database: models, units of work, and the schema version. Nothing above this package speaks SQL dialects."""

from mailsvc.store.engine import Store, db
from mailsvc.store.schema import HEAD

__all__ = ["HEAD", "Store", "db"]
