"""Secrets of this installation: random, made at the first use, kept sealed in its database.

So a restored copy of the database brings them along, a new sealing key leaves them as they are, and all processes have
the same.
"""

import logging
import secrets

from sqlalchemy import bindparam, delete, insert, select

from mailsvc.services.ports import Ports
from mailsvc.store.models import InstallationSecret
from mailsvc.vault.seals import CannotOpen

log = logging.getLogger("mailsvc.installation")

SECRET_BYTES = 32

_FOUND = select(InstallationSecret.content).where(InstallationSecret.name == bindparam("name"))
_REMOVED = delete(InstallationSecret).where(InstallationSecret.name == bindparam("name"))


def secret(ports: Ports, name: str) -> bytes | None:
    """The secret ``name``, or None while there is none that opens."""
    with ports.store.reading() as unit:
        sealed = unit.scalar(_FOUND, {"name": name})
    return None if sealed is None else _opened(ports, name, sealed)


def made_secret(ports: Ports, name: str) -> bytes:
    """The secret ``name``, made now if there is none that opens. Raises CannotOpen without a usable key file."""
    found = secret(ports, name)
    if found is not None:
        return found
    fresh = secrets.token_bytes(SECRET_BYTES)
    sealed = ports.seals.seal(_purpose(name), fresh)
    with ports.store.writing() as unit:
        # Another process may have been first.
        there = unit.scalar(_FOUND, {"name": name})
        if there is not None and (kept := _opened(ports, name, there)) is not None:
            return kept
        unit.execute(_REMOVED, {"name": name})
        unit.execute(insert(InstallationSecret), {"name": name, "content": sealed})
    return fresh


def _opened(ports: Ports, name: str, sealed: bytes) -> bytes | None:
    try:
        return ports.seals.open(_purpose(name), sealed)
    except CannotOpen as error:
        log.warning("%s", error)
        return None


def _purpose(name: str) -> str:
    return f"installation:{name}"
