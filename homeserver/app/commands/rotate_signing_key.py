"""`homeserver rotate-signing-key`: has the server sign with a new key from its next start on."""

from pathlib import Path

import typer

from homeserver.app.commands.options import ConfigFile, load_or_exit
from homeserver.app.data_directory import DataDirectory
from homeserver.runtime.randomness import SystemRandomness

__all__ = ["rotate_signing_key"]


def rotate_signing_key(*, config: ConfigFile = None) -> None:
    """Sign with a new key from the next start on; the present one stays published as an old one."""
    configuration = load_or_exit(config)
    key = DataDirectory(Path(configuration.data_directory), SystemRandomness()).prepare_rotation()
    typer.echo(f"The server signs with {key.key_id} from its next start on.")
