"""``spf``, ``dkim``, ``reconcile``: the DNS records of domains."""

import sys

import click

from mailsvc.cli.session import acting, opened
from mailsvc.core.addresses import domain_name
from mailsvc.services import dkim as dkim_keys
from mailsvc.services import publication
from mailsvc.services import spf as spf_records


@click.group()
def spf() -> None:
    """The SPF record of a domain."""


@spf.command("on")
@click.argument("domain")
def spf_on(domain: str) -> None:
    """Publish it."""
    with acting("spf on", domain) as (ports, act):
        spf_records.enable(ports, act, domain=domain_name(domain))


@spf.command("off")
@click.argument("domain")
def spf_off(domain: str) -> None:
    """Withdraw it."""
    with acting("spf off", domain) as (ports, act):
        spf_records.disable(ports, act, domain=domain_name(domain))


@click.group()
def dkim() -> None:
    """The DKIM key and record of a domain."""


@dkim.command("on")
@click.argument("domain")
def dkim_on(domain: str) -> None:
    """Publish the key, made at the first time."""
    with acting("dkim on", domain) as (ports, act):
        dkim_keys.enable(ports, act, domain=domain_name(domain))


@dkim.command("off")
@click.argument("domain")
def dkim_off(domain: str) -> None:
    """Withdraw the record and keep the key."""
    with acting("dkim off", domain) as (ports, act):
        dkim_keys.disable(ports, act, domain=domain_name(domain))


@click.command()
def reconcile() -> None:
    """Finish or withdraw what a crash left half published."""
    with opened() as ports:
        results = publication.reconcile(ports)
    for result in results:
        state = "published" if result.enabled else "withdrawn"
        click.echo(f"{result.name}: {f'still unsettled: {result.failure}' if result.failure else state}")
    if any(result.failure for result in results):
        sys.exit(1)
