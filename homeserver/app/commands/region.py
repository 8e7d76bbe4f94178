"""`homeserver region`: certificates for the organisation's own servers, and how far these are behind."""

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from homeserver.app.commands.region_status import status
from homeserver.core.identifiers import is_valid_server_name
from homeserver.runtime.clock import SystemClock

__all__ = ["app"]

app = typer.Typer(
    help="The organisation's own servers: their certificates, and how far they are behind.",
    no_args_is_help=True,
)

AUTHORITY = "region-ca"
_FAILED = 1

app.command("status")(status)


@app.command("init-ca")
def init_ca(
    directory: Annotated[Path, typer.Argument(help="Where its files go; the key must stay secret.")],
    *,
    name: Annotated[str, typer.Option(help="The organisation's.")] = "Isthmus regions",
    days: Annotated[int, typer.Option(min=1, max=36_500, help="How long it is valid.")] = 3_650,
) -> None:
    """Make the organisation's authority: region-ca.crt, which every region is given, and region-ca.key."""
    # Costs time and memory that no other command needs to spend.
    from federation.region_authority import make_authority  # noqa: PLC0415 - only for this command

    pair = make_authority(name, now_ms=SystemClock().now_ms(), days=days)
    _write(directory, AUTHORITY, pair.certificate, pair.key)


@app.command("issue")
def issue(
    server_name: Annotated[str, typer.Argument(help="The region's.")],
    directory: Annotated[Path, typer.Argument(help="Where its files go.")],
    *,
    authority: Annotated[Path, typer.Option(help="The directory that init-ca was given.")],
    days: Annotated[int, typer.Option(min=1, max=36_500, help="How long it is valid.")] = 825,
) -> None:
    """Make the certificate of one region: region.crt, and region.key, which must stay secret."""
    from federation.region_authority import PemPair, issue_certificate  # noqa: PLC0415 - only for this command

    if not is_valid_server_name(server_name):
        _fail(f"{server_name} is no server name.")
    try:
        files = [(authority / f"{AUTHORITY}{ending}").read_bytes() for ending in (".crt", ".key")]
        pair = issue_certificate(PemPair(*files), server_name, now_ms=SystemClock().now_ms(), days=days)
    except (OSError, ValueError) as error:
        _fail(f"The authority in {authority} cannot be used: {error}")
    _write(directory, "region", pair.certificate, pair.key)


def _write(directory: Path, name: str, certificate: bytes, key: bytes) -> None:
    """Write both files; never over others: a key that is lost cannot be made again."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for ending, content, mode in ((".key", key, 0o600), (".crt", certificate, 0o644)):
            path = directory / f"{name}{ending}"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
            typer.echo(f"Wrote {path}.")
    except OSError as error:
        _fail(f"Cannot write to {directory}: {error}")


def _fail(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(_FAILED)
