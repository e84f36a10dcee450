"""``secrets``: the key that seals what must be opened again."""

import click

from mailsvc.cli.session import acting
from mailsvc.services import secrets as sealed


@click.group()
def secrets() -> None:
    """The sealing key."""


@secrets.command()
def rotate() -> None:
    """Make a new sealing key and seal every stored secret with it, while serving."""
    with acting("secrets rotate", "") as (ports, act):
        rotated = sealed.rotate(ports, act)
        click.echo(
            f"{rotated.resealed} values were sealed with a new key, the first of {ports.settings.key_file}. "
            "The key before it stays in the file.\n"
            "Copies of the database made until now need the key file as it was: keep a copy of the new one too."
        )
    for column, count in rotated.unopened.items():
        click.echo(f"{column}: {count} values open with none of the keys, and were left as they are", err=True)
