"""What the use-cases reach the world through, in one bundle, so that a test or another back-end can take a place."""

from dataclasses import dataclass

import config
from mailsvc.dns import Publisher
from mailsvc.store import Store
from mailsvc.vault.passwords import Passwords, Remembered
from mailsvc.vault.seals import Seals


@dataclass(frozen=True, slots=True)
class Ports:
    """The store, the vault, and where DNS records are published."""

    settings: config.Settings
    store: Store
    passwords: Passwords
    remembered: Remembered
    seals: Seals
    dns: Publisher
