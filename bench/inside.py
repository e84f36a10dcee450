"""The product's use-cases called in this process: what HTTP and the password hash cost is left out."""

from dataclasses import replace
from pathlib import Path

import config
from bench.service import ROOT_PASSWORD
from mailsvc import startup
from mailsvc.app import create_app
from mailsvc.services.ports import Ports
from mailsvc.vault.passwords import Passwords


class Unhashed(Passwords):
    """In the place of Passwords: a hash that costs nothing, of the same length."""

    def __init__(self) -> None:
        super().__init__(at_once=1)
        self._fixed = super().hash("a password of usual length")

    def hash(self, password: str) -> str:
        """The same text for every password."""
        return self._fixed


def prepare(directory: Path) -> None:
    """Make a data directory with an empty database, as the first start of the service does."""
    settings = _settings(directory)
    startup.make_data_dir(settings)
    startup.prepare(create_app(settings))


def ports_without_hash(directory: Path) -> Ports:
    """The bundle that the use-cases work through, on the database of ``directory``, with Unhashed in it."""
    ports: Ports = create_app(_settings(directory)).extensions["mailsvc"]
    return replace(ports, passwords=Unhashed())


def _settings(directory: Path) -> config.Settings:
    environ = {"DATA_DIR": str(directory), "ROOT_PASSWORD": ROOT_PASSWORD, "HOSTNAME": "mail.example"}
    return config.load({f"MAILSVC_{name}": value for name, value in environ.items()})
