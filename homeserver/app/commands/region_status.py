"""`homeserver region status`: how far each region is behind this one."""

import asyncio
from pathlib import Path

import typer

from homeserver.app.commands.options import ConfigFile, load_or_exit
from homeserver.config.model import Configuration
from homeserver.core.errors import Unavailable
from homeserver.core.positions import ms_of
from homeserver.runtime.clock import SystemClock
from storage.embedded import EmbeddedPostgres
from storage.pool import Database
from storage.tables.peer_lag import PeerLag, peer_lags

__all__ = ["lines_of", "status"]

_FAILED = 1
_HEADS = ("REGION", "STATE", "EVENTS", "FOR DEVICES", "OLDEST")


def status(*, config: ConfigFile = None) -> None:
    """Show what each region still lacks of what was written here, and whether it answers."""
    configuration = load_or_exit(config)
    own = configuration.server_name
    names = [one.name for one in configuration.regions if one.name != own]
    if not names:
        typer.echo("There are no [[regions]] in the configuration.", err=True)
        raise typer.Exit(_FAILED)
    dsn = configuration.database.dsn or _dsn_of_embedded(configuration)
    if not dsn:
        typer.echo("The server does not run.", err=True)
        raise typer.Exit(_FAILED)
    try:
        found = asyncio.run(_read(dsn, own, names))
    except Unavailable as error:
        typer.echo(f"The database does not answer: {error.error}", err=True)
        raise typer.Exit(_FAILED) from error
    for line in lines_of(found, SystemClock().now_ms()):
        typer.echo(line)


def _dsn_of_embedded(configuration: Configuration) -> str | None:
    return EmbeddedPostgres(Path(configuration.data_directory)).dsn_of_running()


async def _read(dsn: str, own: str, names: list[str]) -> list[PeerLag]:
    database = await Database.open(dsn, pool_size_min=1, pool_size_max=1)
    try:
        return await peer_lags(database, own, names)
    finally:
        await database.close()


def lines_of(lags: list[PeerLag], now_ms: int) -> list[str]:
    """A table for people.

    Args:
        lags: a region a row.
        now_ms: since 1970.
    """
    rows = [_HEADS, *(_row(one, now_ms) for one in lags)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(lag: PeerLag, now_ms: int) -> tuple[str, ...]:
    waiting = [position for position in (lag.oldest_event, lag.oldest_message) if position is not None]
    oldest = _span(now_ms - ms_of(min(waiting))) if waiting else "-"
    return lag.name, _state(lag, now_ms), str(lag.events), str(lag.messages), oldest


def _state(lag: PeerLag, now_ms: int) -> str:
    if lag.failing_since_ms is None:
        return "answers"
    retry_ms = lag.retry_ms or 0
    asked = f", asked again in {_span(retry_ms - now_ms)}" if retry_ms > now_ms else ""
    return f"silent for {_span(now_ms - lag.failing_since_ms)}{asked}"


def _span(ms: int) -> str:
    """A time in the largest unit that it fills, rounded down."""
    seconds = max(ms, 0) // 1000
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
