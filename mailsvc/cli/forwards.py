"""``forward``: forwards."""

import click

from mailsvc.cli.session import ADMINISTRATOR, acting, json_option, opened, show
from mailsvc.core.addresses import mail_address
from mailsvc.services import forwards


@click.group()
def forward() -> None:
    """Forwards."""


@forward.command()
@click.argument("source")
@click.argument("targets", nargs=-1, required=True)
@click.option("--keep-local", is_flag=True, help="Deliver to the mailbox of that address too.")
def add(source: str, targets: tuple[str, ...], keep_local: bool) -> None:
    """Forward the mail of SOURCE to TARGETS, as well as to those it has."""
    with acting("forward add", source) as (ports, act):
        forwards.add(
            ports,
            act,
            source=mail_address(source),
            targets=[mail_address(target) for target in targets],
            keep_local=keep_local or None,
        )


@forward.command("list")
@json_option
def listed(as_json: bool) -> None:
    """List all forwards."""
    with opened() as ports:
        show(forwards.listed(ports, ADMINISTRATOR), as_json)


@forward.command()
@click.argument("source")
@click.argument("targets", nargs=-1)
def remove(source: str, targets: tuple[str, ...]) -> None:
    """Remove TARGETS from the rule of SOURCE, or the whole rule."""
    with acting("forward remove", source) as (ports, act):
        forwards.remove(
            ports,
            act,
            source=mail_address(source),
            targets=[mail_address(target) for target in targets] or None,
        )
