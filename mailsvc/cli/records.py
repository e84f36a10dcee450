"""``spf``, ``dkim``, ``reconcile``: the DNS records of domains."""

import sys
from typing import Protocol

import click

from mailsvc.cli.session import acting, opened
from mailsvc.core.acts import Act
from mailsvc.core.addresses import domain_name
from mailsvc.services import dkim as dkim_keys
from mailsvc.services import publication
from mailsvc.services import spf as spf_records
from mailsvc.services.ports import Ports


class Switch(Protocol):
    """A use-case module that turns a record of a domain on and off."""

    def enable(self, ports: Ports, act: Act, *, domain: str) -> None: ...

    def disable(self, ports: Ports, act: Act, *, domain: str) -> None: ...


def _group(name: str, record: Switch, words: tuple[str, str, str]) -> click.Group:
    """The commands ``NAME on DOMAIN`` and ``NAME off DOMAIN``; ``words`` are the help texts of all three."""
    group = click.Group(name, help=words[0])

    @group.command("on", help=words[1])
    @click.argument("domain")
    def on(domain: str) -> None:
        with acting(f"{name} on", domain) as (ports, act):
            record.enable(ports, act, domain=domain_name(domain))

    @group.command("off", help=words[2])
    @click.argument("domain")
    def off(domain: str) -> None:
        with acting(f"{name} off", domain) as (ports, act):
            record.disable(ports, act, domain=domain_name(domain))

    return group


spf = _group("spf", spf_records, ("The SPF record of a domain.", "Publish it.", "Withdraw it."))
dkim = _group(
    "dkim",
    dkim_keys,
    (
        "The DKIM key and record of a domain.",
        "Publish the key, made at the first time.",
        "Withdraw the record and keep the key.",
    ),
)


@click.command()
def reconcile() -> None:
    """Finish or withdraw what a crash left half published."""
    with opened() as ports:
        results = publication.reconcile(ports)
    for result in results:
        if result.under_way:
            seconds = publication.LEASE.seconds
            click.echo(f"{result.name}: left alone, a change of it began less than {seconds} seconds ago")
        elif result.failure is None:
            click.echo(f"{result.name}: {'published' if result.enabled else 'withdrawn'}")
        else:
            click.echo(f"mailsvc: {result.name} is still unsettled: {result.failure}", err=True)
    if any(result.failure for result in results):
        sys.exit(1)
