"""``milter``: the process that Postfix asks about every message."""

import click

from mailsvc.cli.listening import listen
from mailsvc.cli.session import opened
from mailsvc.observation import logs


@click.command()
def milter() -> None:
    """Check and sign mail: the process that Postfix talks to."""
    # What signs is loaded by this process alone.
    from mailsvc.milter.judgement import Judge
    from mailsvc.milter.server import Server

    with opened() as ports:
        logs.set_up(ports.settings.log_format)
        with listen(ports.settings.milter_bind) as listener:
            server = Server(listener, Judge(ports))
            server.stop_on_signals()
            click.echo(f"mailsvc filters mail on {ports.settings.milter_bind}")
            server.run()
