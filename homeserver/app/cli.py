"""The command line: `homeserver`."""

import sys
from typing import Annotated

import typer

from homeserver.app.commands import config, region, register_user, rotate_signing_key, run
from homeserver.app.version import VERSION

__all__ = ["main"]

app = typer.Typer(
    name="homeserver", help="Isthmus, a Matrix homeserver.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
app.command("run")(run.run)
app.command("register-user")(register_user.register_user)
app.command("rotate-signing-key")(rotate_signing_key.rotate_signing_key)
app.add_typer(config.app, name="config")
app.add_typer(region.app, name="region")


@app.command("version")
def version() -> None:
    """Show the version."""
    typer.echo(f"Isthmus {VERSION}")


def _load_is_elsewhere(
    arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Drive any Matrix homeserver with many clients and report what they saw."""


def main() -> None:
    """Run the command that the arguments name."""
    if sys.argv[1:2] == ["load"]:
        # Imported for this command only: it brings an HTTP client, which a server has no use for.
        from clients.load.cli import load  # noqa: PLC0415 - only for this command

        app.command("load")(load)
    else:
        app.command("load")(_load_is_elsewhere)
    app()


if __name__ == "__main__":
    main()
