"""``domain``: domains and their owners."""

import sys

import click

from mailsvc.cli.session import ADMINISTRATOR, acting, json_option, opened, show
from mailsvc.core.addresses import domain_name, mail_address
from mailsvc.services import catch_alls, domain_check, domains, zones


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
        caught_by = catch_alls.target_of(ports, ADMINISTRATOR, domain=domain_name(name))
    if as_json:
        show(records, as_json)
        return
    click.echo(f"catch-all: {caught_by or 'off'}\n")
    for record in records:
        _print(record)


def _print(record: zones.WantedRecord) -> None:
    note = f" ({record.note})" if record.note else ""
    click.echo(f"{record.purpose}: {record.type} record of {record.name}, {'on' if record.published else 'off'}{note}")
    click.echo(f"  value    {record.value}")
    if record.type == "TXT":
        for number, string in enumerate(record.strings, start=1):
            click.echo(f"  string {number} {string}")
    click.echo(f"  zone     {record.zone_line}\n")


@domain.command()
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> None:
    """Compare the records a domain should have with those that DNS shows; exit status 1 when one is not right."""
    with opened() as ports:
        findings = domain_check.check(ports, ADMINISTRATOR, domain=domain_name(name))
    if as_json:
        show(findings, as_json)
    else:
        for finding in findings:
            _print_finding(finding)
    if not all(finding.is_fine for finding in findings):
        sys.exit(1)


def _print_finding(finding: domain_check.Finding) -> None:
    click.echo(f"{finding.purpose} of {finding.name}: {finding.verdict}" + (finding.reason and f" ({finding.reason})"))
    click.echo(f"  wanted   {finding.wanted or '-'}")
    for text in finding.found or ["-"]:
        click.echo(f"  found    {text}")
    if finding.publish:
        click.echo(f"  to do    {finding.publish}")
    click.echo()


@domain.command("catch-all")
@click.argument("name")
@click.argument("target", required=False)
@click.option("--off", is_flag=True, help="Refuse such mail again.")
def catch_all(name: str, target: str | None, off: bool) -> None:
    """Send mail for addresses that nobody has to TARGET; without TARGET say where it goes."""
    if off and target is not None:
        raise click.UsageError("give a target or --off, not both")
    if not off and target is None:
        with opened() as ports:
            click.echo(catch_alls.target_of(ports, ADMINISTRATOR, domain=domain_name(name)) or "off")
        return
    with acting("domain catch-all", name) as (ports, act):
        if target is not None:
            catch_alls.direct(ports, act, domain=domain_name(name), target=mail_address(target))
        else:
            catch_alls.switch_off(ports, act, domain=domain_name(name))


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
