"""``doctor``: whether the mail servers can do their work."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import config
from mailsvc.cli.session import json_option

if TYPE_CHECKING:
    from mailsvc.doctor.findings import Finding

_directory = click.Path(file_okay=False, path_type=Path)


@click.command()
@json_option
@click.option(
    "--mailhost", "tree", default="/etc/mailsvc/mailhost", show_default=True, type=_directory,
    help="What `mailhost render` was given.",
)  # fmt: skip
@click.option(
    "--postfix", default="/etc/postfix", show_default=True, type=_directory, help="Postfix's configuration directory."
)
@click.option(
    "--dovecot", default="/etc/dovecot/dovecot.conf", show_default=True,
    type=click.Path(dir_okay=False, path_type=Path), help="Dovecot's main file.",
)  # fmt: skip
@click.option(
    "--dns", default="127.0.0.1", show_default=True, metavar="HOST[:PORT]", help="Where PowerDNS takes questions."
)
def doctor(as_json: bool, tree: Path, postfix: Path, dovecot: Path, dns: str) -> None:
    """Prove with the servers' own tools, each as its own user, that mail works; exit status 1 if something does not.

    Run it as root. It changes nothing.
    """
    from mailsvc.doctor.examination import examine
    from mailsvc.doctor.findings import FAILED
    from mailsvc.doctor.machine import machine

    try:
        name_server = config.name_server(dns)
    except ValueError as error:
        raise click.BadParameter(f"{dns!r} {error}", param_hint="--dns") from None
    place = machine(
        config.load(), tree=tree.absolute(), postfix=postfix.absolute(), dovecot=dovecot, name_server=name_server
    )
    findings = []
    for finding in examine(place):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        _print_all(findings)
    failures = sum(finding.verdict == FAILED for finding in findings)
    if failures:
        sys.exit(1)


def _print(finding: "Finding") -> None:
    line = f"{finding.verdict:8}  {finding.check}: {finding.text}" + (finding.mend and f"; to mend: {finding.mend}")
    click.echo("".join(letter if letter.isprintable() else "?" for letter in line))


def _print_all(findings: Sequence["Finding"]) -> None:
    click.echo(json.dumps([finding._asdict() for finding in findings], ensure_ascii=False, indent=2))
