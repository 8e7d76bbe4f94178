"""Puts together what is live in rooms."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.app.storage import Runtime, Storage
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET, SnowflakeClock
from homeserver.ephemeral.ports import ReadMarkerWriter
from homeserver.ephemeral.receipts import Receipts
from homeserver.ephemeral.typing import Typing

__all__ = ["EphemeralServices", "build_ephemeral"]


@dataclass(frozen=True, slots=True)
class EphemeralServices:
    """What the endpoints of typing notices and receipts call."""

    receipts: Receipts
    typing: Typing


def build_ephemeral(
    runtime: Runtime, storage: Storage, read_markers: ReadMarkerWriter, stack: AsyncExitStack
) -> EphemeralServices:
    """Make what is live in rooms."""
    database, interning, journal = storage.database, storage.interning, storage.journal
    typing = Typing(
        database=database, interning=interning, publish=storage.bus.publish, clock=runtime.clock,
        snowflakes=SnowflakeClock(journal.writer_id + EPHEMERAL_WRITER_OFFSET),
    )  # fmt: skip
    stack.callback(typing.close)
    stack.callback(storage.bus.subscribe(typing.follow))
    receipts = Receipts(
        database=database, journal=journal, interning=interning, read_markers=read_markers,
        clock=runtime.clock,
    )  # fmt: skip
    return EphemeralServices(receipts=receipts, typing=typing)
