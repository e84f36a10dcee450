"""``collect``: the worker that collects external accounts; ``account``: how that gets on."""

import json
import logging
import os
import signal
from collections.abc import Callable, Sequence

import click

from config import Delivery
from mailsvc.cli.session import CannotOpen, json_option, opened, show
from mailsvc.collector.worker import AT_ONCE, Worker
from mailsvc.services import account_progress
from mailsvc.services.ports import Ports


@click.command()
@click.option("--once", is_flag=True, help="One visit of each account, then an end.")
@click.option("--parent", type=int, hidden=True, help="End when this process is not the parent any more.")
def collect(once: bool, parent: int | None) -> None:
    """Collect the mail of external accounts, until told to end."""
    with opened(threads=AT_ONCE + 2, level=logging.INFO) as ports:
        worker = Worker(ports, _delivery(ports))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, worker.stop)
        if once:
            _tell(ports, worker.run_once())
        else:
            worker.run(_while_child_of(parent))


def _delivery(ports: Ports) -> Delivery:
    delivery = ports.settings.local_delivery
    if delivery is None:
        raise CannotOpen("MAILSVC_LOCAL_DELIVERY is not set: there is nowhere to hand collected mail in")
    return delivery


def _while_child_of(parent: int | None) -> Callable[[], bool]:
    return lambda: parent is None or os.getppid() == parent


def _tell(ports: Ports, visited: Sequence[int]) -> None:
    numbers = set(visited)
    show([row for row in account_progress.listed(ports) if row.id in numbers], as_json=False)


@click.group()
def account() -> None:
    """External mail accounts."""


@account.command("list")
@json_option
def listed(as_json: bool) -> None:
    """List the accounts of all users, with the last visit, the messages collected, and the last error."""
    with opened() as ports:
        show(account_progress.listed(ports), as_json)


@account.command("show")
@click.argument("address")
@json_option
def show_one(address: str, as_json: bool) -> None:
    """Show what is known of an account."""
    with opened() as ports:
        found = account_progress.of_address(ports, email=address)
    if as_json:
        click.echo(json.dumps([details._asdict() for details in found], ensure_ascii=False, indent=2))
        return
    for details in found:
        for name, value in details._asdict().items():
            click.echo(f"{name.replace('_', ' '):14} {_words(value)}")


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)
