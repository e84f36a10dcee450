"""The command line: the administrator's face of the use-cases.

Exit status 0 done, 1 refused (one clear line on standard error), 2 wrong usage. Nothing secret stands on a command
line: passwords come from standard input or a prompt.
"""

import sys

import click
from sqlalchemy.exc import OperationalError

import config
from mailsvc.cli import (
    backups,
    collect,
    dkim_keys,
    doctor,
    domains,
    forwards,
    mailboxes,
    mailhost,
    milter,
    records,
    secrets,
    serve,
    tokens,
    users,
)
from mailsvc.cli.refusals import in_words
from mailsvc.cli.session import CannotOpen
from mailsvc.core.refusals import Refusal
from mailsvc.mailhost.layout import CannotRender
from mailsvc.services.backups import CannotCopy
from mailsvc.services.secrets import CannotRotate
from mailsvc.startup import CannotStart
from mailsvc.vault import seals


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version=__import__("mailsvc").__version__)
def commands() -> None:
    """The mail control plane of one server."""


for command in (
    serve.serve,
    milter.milter,
    users.user,
    tokens.token,
    domains.domain,
    mailboxes.mailbox,
    forwards.forward,
    mailhost.mailhost,
    doctor.doctor,
    records.spf,
    dkim_keys.dkim,
    records.reconcile,
    collect.collect,
    collect.account,
    backups.backup,
    backups.restore,
    secrets.secrets,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:
        commands(prog_name="python -m mailsvc")
    except Refusal as refusal:
        _leave(in_words(refusal))
    except (
        config.ConfigError,
        CannotStart,
        CannotOpen,
        CannotCopy,
        CannotRender,
        CannotRotate,
        seals.CannotOpen,
    ) as error:
        _leave(str(error))
    except OperationalError as error:
        # Locked for too long, a full disk, a server that went away: nothing that a traceback would explain.
        _leave(f"the database does not take it: {' '.join(str(error.orig).split())}")
    except OSError as error:
        _leave(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _leave(line: str) -> None:
    # One line, whatever the name was that it repeats.
    click.echo("mailsvc: " + "".join(letter if letter.isprintable() else "?" for letter in line), err=True)
    sys.exit(1)
