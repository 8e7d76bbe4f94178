"""What several commands share: where the configuration is, and how mistakes in it are told."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from homeserver.config.load import load
from homeserver.config.model import Configuration
from homeserver.config.parse import ConfigurationError

__all__ = ["ConfigFile", "command_line", "load_or_exit"]

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration, a TOML file.", show_default=False)
]

MISTAKEN = 2
"""Exit status where the configuration is wrong."""


def load_or_exit(file: Path | None) -> Configuration:
    """Read the configuration, or say everything that is wrong with it and exit."""
    try:
        return load(file, os.environ)
    except ConfigurationError as error:
        count = len(error.mistakes)
        typer.echo(f"The configuration has {'a mistake' if count == 1 else f'{count} mistakes'}:", err=True)
        for mistake in error.mistakes:
            typer.echo(f"  {mistake}", err=True)
        raise typer.Exit(MISTAKEN) from None


def command_line(command: str, file: Path | None) -> str:
    """What to type to run another command on the same server."""
    program = Path(sys.argv[0])
    if program.suffix == ".py":
        shown = f"{sys.executable} -m homeserver.app.cli"
    else:
        here = Path.cwd()
        shown = str(program.relative_to(here)) if program.is_relative_to(here) else str(program)
    name, _, arguments = command.partition(" ")
    options = f" --config {file}" if file is not None else ""
    return f"{shown} {name}{options} {arguments}".rstrip()
