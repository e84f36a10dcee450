"""``token``: API keys, by which programs call as a user without his password."""

import click

from mailsvc.cli.session import acting, json_option, opened, show
from mailsvc.services import tokens


@click.group()
def token() -> None:
    """API keys of the ONLYOFFICE dialects."""


@token.command()
@click.argument("user")
@click.option("--days", type=click.IntRange(1, tokens.MOST_DAYS), help="When it ends. Never unless said.")
def add(user: str, days: int | None) -> None:
    """Make an API key for USER and print it; it is shown nowhere else."""
    with acting("token add", user) as (ports, act):
        click.echo(tokens.add_key(ports, act, user=user, days=days))


@token.command("list")
@click.argument("user")
@json_option
def listed(user: str, as_json: bool) -> None:
    """List the API keys of USER, without the keys themselves."""
    with opened() as ports:
        show(tokens.keys_of(ports, user=user), as_json)


@token.command()
@click.argument("id", type=click.IntRange(min=1, max=2**63 - 1))
def revoke(id: int) -> None:
    """End an API key at once; ID is what `token list` shows."""
    with acting("token revoke", str(id)) as (ports, act):
        tokens.revoke_key(ports, act, number=id)
