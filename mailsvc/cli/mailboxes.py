"""``mailbox``: mailboxes."""

import click

from mailsvc.cli.session import ADMINISTRATOR, acting, json_option, opened, password_from, password_option, show
from mailsvc.core.addresses import domain_name, mail_address, mailbox_address
from mailsvc.core.quotas import quota_mib
from mailsvc.services import mailboxes, removed_mailboxes


@click.group()
def mailbox() -> None:
    """Mailboxes."""


@mailbox.command()
@click.argument("address")
@click.option("--quota", required=True, metavar="MIB", help="MiB; 0 is unlimited.")
@password_option
def add(address: str, quota: str, password_stdin: bool) -> None:
    """Add a mailbox."""
    password = password_from(password_stdin)
    with acting("mailbox add", address) as (ports, act):
        mailboxes.add(ports, act, address=mailbox_address(address), password=password, quota_mib=quota_mib(quota))


@mailbox.command("list")
@click.option("--domain", help="Only this domain's.")
@click.option("--removed", is_flag=True, help="Those that were removed and can be restored, and until when.")
@json_option
def listed(domain: str | None, removed: bool, as_json: bool) -> None:
    """List mailboxes."""
    with opened() as ports:
        of = removed_mailboxes.listed if removed else mailboxes.listed
        show(of(ports, ADMINISTRATOR, domain=domain and domain_name(domain)), as_json)


@mailbox.command()
@click.argument("address")
@password_option
def passwd(address: str, password_stdin: bool) -> None:
    """Give a mailbox another password."""
    password = password_from(password_stdin)
    with acting("mailbox passwd", address) as (ports, act):
        mailboxes.change_password(ports, act, address=mail_address(address), password=password)


@mailbox.command()
@click.argument("address")
@click.argument("mib")
def quota(address: str, mib: str) -> None:
    """Give a mailbox another quota in MiB; 0 is unlimited."""
    with acting("mailbox quota", address) as (ports, act):
        mailboxes.change_quota(ports, act, address=mail_address(address), quota_mib=quota_mib(mib))


@mailbox.command()
@click.argument("address")
def disable(address: str) -> None:
    """Let nobody in; the mailbox goes on receiving."""
    with acting("mailbox disable", address) as (ports, act):
        mailboxes.disable(ports, act, address=mail_address(address))


@mailbox.command()
@click.argument("address")
def enable(address: str) -> None:
    """Let its owner in again."""
    with acting("mailbox enable", address) as (ports, act):
        mailboxes.enable(ports, act, address=mail_address(address))


@mailbox.command()
@click.argument("address")
def remove(address: str) -> None:
    """Remove a mailbox; it can be restored for a time."""
    with acting("mailbox remove", address) as (ports, act):
        mailboxes.remove(ports, act, address=mail_address(address))


@mailbox.command()
@click.argument("address")
def restore(address: str) -> None:
    """Bring a removed mailbox back, with its mail, password and quota."""
    with acting("mailbox restore", address) as (ports, act):
        removed_mailboxes.restore(ports, act, address=mail_address(address))
