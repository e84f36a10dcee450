"""The command line: the administrator's face of the use-cases.

Exit status 0 done, 1 refused (one clear line on standard error), 2 wrong usage. Nothing secret stands on a command
line: passwords come from standard input or a prompt.
"""

import sys

import click

import config
from mailsvc.cli import backups, domains, forwards, mailboxes, records, serve, users
from mailsvc.cli.refusals import in_words
from mailsvc.cli.session import CannotOpen
from mailsvc.core.refusals import Refusal
from mailsvc.services.backups import CannotCopy
from mailsvc.startup import CannotStart


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version=__import__("mailsvc").__version__)
def commands() -> None:
    """The mail control plane of one server."""


for command in (
    serve.serve,
    users.user,
    domains.domain,
    mailboxes.mailbox,
    forwards.forward,
    records.spf,
    records.dkim,
    records.reconcile,
    backups.backup,
    backups.restore,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:
        commands(prog_name="python -m mailsvc")
    except Refusal as refusal:
        _leave(in_words(refusal))
    except (config.ConfigError, CannotStart, CannotOpen, CannotCopy) as error:
        _leave(str(error))
    except OSError as error:
        _leave(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _leave(line: str) -> None:
    # One line, whatever the name was that it repeats.
    click.echo("mailsvc: " + "".join(letter if letter.isprintable() else "?" for letter in line), err=True)
    sys.exit(1)
