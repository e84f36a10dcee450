"""Where rendered configuration supposes things, for tests that use a part of it."""

from pathlib import Path

from mailsvc.mailhost.layout import Layout


def layout_for(database: Path, directory: Path | str = "/etc/rendered", **places: str) -> Layout:
    """Debian's places, but for ``places``, around the SQLite file ``database``."""
    return Layout(
        directory=str(directory),
        database=str(database),
        hostname="mail.server.test",
        mail_root="/var/vmail",
        **places,
    )
