"""``dkim rotate``, ``dkim add``, ``dkim remove``: the keys of a domain, beyond switching them on and off."""

import sys
import time
from collections.abc import Sequence

import click

from mailsvc.cli import records
from mailsvc.cli.session import acting
from mailsvc.core.acts import Act
from mailsvc.core.addresses import domain_name
from mailsvc.core.dkim import ALGORITHMS
from mailsvc.services import dkim_rotation
from mailsvc.services.dkim_rotation import Step
from mailsvc.services.ports import Ports

dkim = records.dkim
"""The group with ``on`` and ``off``, to which these belong."""

POLL = 5.0
"""Seconds between two looks whether a new key can sign."""

WAIT_MINUTES = 30
"""How long ``--wait`` waits; the timer goes on afterwards."""

_algorithm = click.option("--algorithm", required=True, type=click.Choice(ALGORITHMS))


@dkim.command()
@click.argument("domain", required=False)
@click.option(
    "--continue", "goes_on", is_flag=True, help="Begin nothing; do what is due, of every domain if none is given."
)
@click.option("--wait", is_flag=True, help="Stay until the new key signs.")
def rotate(domain: str | None, goes_on: bool, wait: bool) -> None:
    """Bring up a new key of DOMAIN beside the old one; a timer that runs `dkim rotate --continue` does the rest."""
    if domain is None and (wait or not goes_on):
        raise click.UsageError("name a domain, or let all go on with --continue")
    with acting("dkim rotate", domain or "") as (ports, act):
        if not goes_on:
            dkim_rotation.rotate(ports, act, domain=domain_name(domain or ""))
        if wait:
            steps = _waited(ports, act, domain_name(domain or ""))
        elif goes_on and domain is not None:
            steps = dkim_rotation.go_on(ports, act, domain=domain_name(domain))
        else:
            steps = dkim_rotation.continue_all(ports, act) if goes_on else []
    _report(steps)


def _waited(ports: Ports, act: Act, domain: str) -> Sequence[Step]:
    expires = time.monotonic() + WAIT_MINUTES * 60
    while True:
        steps = dkim_rotation.go_on(ports, act, domain=domain)
        if not dkim_rotation.is_under_way(ports, act, domain=domain) or time.monotonic() > expires:
            return steps
        time.sleep(POLL)


def _report(steps: Sequence[Step]) -> None:
    for step in steps:
        click.echo(f"{step.domain}: {step.selector} {step.outcome}" + (f": {step.reason}" if step.reason else ""))
    if any(step.outcome == "waits" for step in steps):
        sys.exit(1)


@dkim.command()
@click.argument("domain")
@_algorithm
def add(domain: str, algorithm: str) -> None:
    """Bring up a key for another algorithm beside those of DOMAIN."""
    with acting("dkim add", domain) as (ports, act):
        dkim_rotation.add(ports, act, domain=domain_name(domain), algorithm=algorithm)


@dkim.command()
@click.argument("domain")
@_algorithm
def remove(domain: str, algorithm: str) -> None:
    """Stop signing with the key for one of the algorithms of DOMAIN."""
    with acting("dkim remove", domain) as (ports, act):
        dkim_rotation.remove(ports, act, domain=domain_name(domain), algorithm=algorithm)
