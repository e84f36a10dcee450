"""A stage with a source and a target."""

from tests.servers.foreign import foreign, local
from tests.services.conftest import other_process, staged

__all__ = ["foreign", "local", "other_process", "staged"]
