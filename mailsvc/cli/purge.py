"""``mailhost purge``: the mail of removed mailboxes, taken off the disk when its time is over."""

import sys

import click

from mailsvc.cli.session import acting
from mailsvc.services import removed_mailboxes


@click.command()
@click.option(
    "--orphans",
    is_flag=True,
    help="Also directories of mailboxes that this database does not know, once nothing changed in them for that long.",
)
def purge(orphans: bool) -> None:
    """Remove the mail of mailboxes that were removed longer ago than MAILSVC_PURGE_AFTER_DAYS."""
    with acting("mailhost purge", "") as (ports, act):
        purged = list(removed_mailboxes.purge(ports, act))
        purged += removed_mailboxes.purge_orphans(ports, act) if orphans else []
        for one in purged:
            _report(one)
        _report_rest(len(removed_mailboxes.orphans(ports)))
    if any(one.failure for one in purged):
        sys.exit(1)


def _report(one: removed_mailboxes.Purged) -> None:
    what = f"{one.address or 'unknown mailbox'} ({one.incarnation})"
    if one.failure is None:
        click.echo(f"{what}: purged")
    else:
        click.echo(f"mailsvc: {what} is still there: {one.failure}", err=True)


def _report_rest(count: int) -> None:
    if count:
        click.echo(
            f"{count} directories belong to no mailbox of this database, as after the restore of an older backup. "
            "They stay until `mailhost purge --orphans`."
        )
