"""What the use-cases reach the world through, in one bundle, so that a test or another back-end can take a place."""

import os
from dataclasses import dataclass

from flask import Flask

import config
from mailsvc.courier.targets import Targets
from mailsvc.dns import Publisher, publisher
from mailsvc.services.outgoing import Outgoing
from mailsvc.store import Store
from mailsvc.vault.passwords import Passwords, Remembered
from mailsvc.vault.seals import Seals


@dataclass(frozen=True, slots=True)
class Ports:
    """The store, the vault, where DNS records are published, and the way out to foreign mail servers."""

    settings: config.Settings
    store: Store
    passwords: Passwords
    remembered: Remembered
    seals: Seals
    dns: Publisher
    targets: Targets
    outgoing: Outgoing


def open_ports(app: Flask, settings: config.Settings) -> Ports:
    """The ports that ``settings`` describe, with the store bound to ``app``. Opens no connection yet."""
    targets = Targets(settings.smtp_deny_networks)
    return Ports(
        settings=settings,
        store=Store(app, settings),
        passwords=Passwords(at_once=max(1, (os.cpu_count() or 1) // settings.workers)),
        remembered=Remembered(),
        seals=Seals(settings.key_file),
        dns=publisher(settings),
        targets=targets,
        outgoing=Outgoing(targets),
    )
