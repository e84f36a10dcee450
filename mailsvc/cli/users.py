"""``user``: who may call mailsvc."""

import click

from mailsvc.cli.session import acting, json_option, opened, password_from, password_option, show
from mailsvc.core.acts import LANGUAGES, ROLES, USER
from mailsvc.services import users


@click.group()
def user() -> None:
    """Panel users."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=USER, show_default=True)
@click.option("--email", help="Where the user can be reached.")
@click.option("--language", type=click.Choice(LANGUAGES))
@click.option(
    "--mailbox-limit", type=click.IntRange(min=0), help="Mailboxes his domains may have. No limit unless said."
)
@password_option
def add(
    name: str, role: str, email: str | None, language: str | None, mailbox_limit: int | None, password_stdin: bool
) -> None:
    """Add a user."""
    password = password_from(password_stdin)
    with acting("user add", name) as (ports, act):
        users.add(
            ports,
            act,
            name=name,
            password=password,
            role=role,
            email=email,
            language=language,
            mailbox_limit=mailbox_limit,
        )


@user.command("list")
@json_option
def listed(as_json: bool) -> None:
    """List all users."""
    with opened() as ports:
        show(users.listed(ports), as_json)


@user.command()
@click.argument("name")
@password_option
def passwd(name: str, password_stdin: bool) -> None:
    """Give a user another password; the old one is refused at once."""
    password = password_from(password_stdin)
    with acting("user passwd", name) as (ports, act):
        users.change_password(ports, act, name=name, password=password)


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Refuse a user's calls; his mail goes on."""
    with acting("user disable", name) as (ports, act):
        users.disable(ports, act, name=name)


@user.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let a user call again."""
    with acting("user enable", name) as (ports, act):
        users.enable(ports, act, name=name)


@user.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a user who owns no domain."""
    with acting("user remove", name) as (ports, act):
        users.remove(ports, act, name=name)
