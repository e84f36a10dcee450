"""``mailhost``: the mail servers' side of this database."""

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

import config
from mailsvc.cli.purge import purge
from mailsvc.mailhost.layout import Layout, layout


@click.group()
def mailhost() -> None:
    """The mail servers' side: their configuration, and mail on disk."""


def _place_options(command: Any) -> Any:
    """An option for each thing that may be elsewhere than Debian has it."""
    for item in reversed([item for item in fields(Layout) if "help" in item.metadata]):
        name = f"--{item.name.replace('_', '-')}"
        command = click.option(name, metavar="TEXT", help=item.metadata["help"])(command)
    return command


@mailhost.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing: name each file that is not as it would be written.")
@_place_options
def render(directory: Path, check: bool, **given: str | None) -> None:
    """Write configuration for Postfix, Dovecot and PowerDNS into DIRECTORY, where they are to read it.

    An option once given holds for DIRECTORY until it is given anew.
    """
    from mailsvc.mailhost.render import differences, recorded, rendered, write

    directory = directory.absolute()
    places = {**recorded(directory), **{name: value for name, value in given.items() if value is not None}}
    texts = rendered(layout(config.load(), directory, **places), places)
    if not check:
        for path in write(directory, texts):
            click.echo(path)
        return
    lines = list(differences(directory, texts))
    for line in lines:
        click.echo(line)
    sys.exit(1 if lines else 0)


mailhost.add_command(purge)
