"""``domain``: domains and their owners."""

import click

from mailsvc.cli.session import ADMINISTRATOR, acting, json_option, opened, show
from mailsvc.core.addresses import domain_name
from mailsvc.services import domains, zones


@click.group()
def domain() -> None:
    """Domains and their owners."""


@domain.command()
@click.argument("name")
@click.option("--owner", required=True, help="The user the domain belongs to.")
def add(name: str, owner: str) -> None:
    """Add a domain."""
    with acting("domain add", name) as (ports, act):
        domains.add(ports, act, name=domain_name(name), owner=owner)


@domain.command("list")
@json_option
def listed(as_json: bool) -> None:
    """List all domains."""
    with opened() as ports:
        show(domains.listed(ports, ADMINISTRATOR), as_json)


@domain.command("show")
@click.argument("name")
@json_option
def shown(name: str, as_json: bool) -> None:
    """Show the DNS records a domain should have, to paste into a zone."""
    with opened() as ports:
        records = zones.wanted(ports, ADMINISTRATOR, domain=domain_name(name))
    if as_json:
        show(records, as_json)
        return
    for record in records:
        _print(record)


def _print(record: zones.WantedRecord) -> None:
    click.echo(f"{record.purpose}: {record.type} record of {record.name}, {'on' if record.published else 'off'}")
    click.echo(f"  value    {record.value}")
    if record.type == "TXT":
        for number, string in enumerate(record.strings, start=1):
            click.echo(f"  string {number} {string}")
    click.echo(f"  zone     {record.zone_line}\n")


@domain.command()
@click.argument("name")
@click.option("--owner", required=True, help="The user the domain will belong to.")
def give(name: str, owner: str) -> None:
    """Give a domain to another user."""
    with acting("domain give", name) as (ports, act):
        domains.give(ports, act, name=domain_name(name), owner=owner)


@domain.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a domain with its mailboxes, forwards, keys and records."""
    with acting("domain remove", name) as (ports, act):
        domains.remove(ports, act, name=domain_name(name))
