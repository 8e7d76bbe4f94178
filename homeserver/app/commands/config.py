"""`homeserver config`: look at the configuration without running the server."""

import typer

from homeserver.app.commands.options import ConfigFile, load_or_exit
from homeserver.config.dump import dump as write
from homeserver.config.model import Configuration

__all__ = ["app"]

app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)


@app.command("check")
def check(*, config: ConfigFile = None) -> None:
    """Say everything that is wrong with the configuration, environment included."""
    load_or_exit(config)
    typer.echo("The configuration is right.")


@app.command("dump")
def dump(*, config: ConfigFile = None) -> None:
    """Show the configuration as the server would take it; secrets are hidden."""
    typer.echo(write(load_or_exit(config)), nl=False)


@app.command("defaults")
def defaults() -> None:
    """Show every key with its default and its meaning, as a file to begin with."""
    typer.echo(write(Configuration(), meanings=True), nl=False)
