"""``backup`` and ``restore``."""

from pathlib import Path

import click

from mailsvc.cli.session import opened
from mailsvc.services import backups


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def backup(file: Path) -> None:
    """Write a consistent, verified copy of the database to FILE while serving."""
    with opened() as ports:
        backups.back_up(ports, file)
        click.echo(f"The database was copied to {file} and verified.")
        _say_where_keys_are(ports.settings.key_file)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Put the copy FILE in the place of the database, after checking it; what was there is kept."""
    with opened(whatever_version=True) as ports:
        replaced = backups.restore(ports, file)
        ports.store.close()
        click.echo(f"{file} is in place. What was there before is kept in {replaced}")
        for record in backups.settle(ports):
            click.echo(f"DNS record {record.name}: {record.failure or 'settled'}")
        _say_where_keys_are(ports.settings.key_file)


def _say_where_keys_are(key_file: Path) -> None:
    click.echo(
        f"The key file {key_file} is not part of the copy: keep it apart from it, and safe.\n"
        "Without it the sealed values in the database, such as DKIM private keys, do not open."
    )
