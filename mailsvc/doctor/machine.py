"""Where things are on the machine that is examined, and whether the examination may become other users."""

from dataclasses import dataclass
from pathlib import Path

import config
from mailsvc.mailhost.layout import CannotRender, Layout, layout
from mailsvc.mailhost.render import recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The settings, the rendered configuration, and where each server keeps its own."""

    settings: config.Settings
    tree: Path
    """What ``mailhost render`` was given."""

    layout: Layout | None
    """None: the servers do not read this database, because it is PostgreSQL."""

    postfix: Path
    """Postfix's configuration directory."""

    dovecot: Path
    """Dovecot's main file."""

    name_server: config.TcpAddress
    """Where PowerDNS takes questions."""

    @property
    def database(self) -> Path | None:
        """The SQLite file."""
        return self.settings.database_file


def machine(
    settings: config.Settings, *, tree: Path, postfix: Path, dovecot: Path, name_server: config.TcpAddress
) -> Machine:
    """The machine with these settings. Raises CannotRender when the record in ``tree`` is broken, OSError."""
    places = None
    if settings.database_file is not None:
        try:
            places = layout(settings, tree, **recorded(tree))
        except OSError as error:
            raise CannotRender(f"{tree}: {error.strerror}") from None
    return Machine(
        settings=settings, tree=tree, layout=places, postfix=postfix, dovecot=dovecot, name_server=name_server
    )
