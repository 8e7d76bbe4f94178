"""`homeserver run`."""

import typer

from homeserver.app.commands.options import ConfigFile, command_line, load_or_exit
from homeserver.app.run import run_server
from homeserver.app.version import VERSION

__all__ = ["run"]


def run(*, config: ConfigFile = None) -> None:
    """Run the server until Ctrl-C.

    Without a configuration file it is a server for this machine: its name is localhost, it listens on
    loopback only, keeps everything in ./data, and lets anyone register.
    """
    configuration = load_or_exit(config)
    register = command_line("register-user NAME", config)

    def say_ready() -> None:
        from homeserver.app.server import base_url_of  # noqa: PLC0415 - not before the reactor

        url = base_url_of(configuration)
        typer.echo(f"Isthmus {VERSION} is ready: {url} (server name {configuration.server_name})")
        typer.echo(f"Make the first user with `{register}`, then connect any Matrix client to {url}")

    status = run_server(
        configuration,
        say_ready=say_ready,
        say_failed=lambda sentence: typer.echo(sentence, err=True),
        # Visitors of a server for others need not learn where its files are.
        register_command=register if config is None else "homeserver register-user NAME",
    )
    raise typer.Exit(status)
