"""Moves the message events of a room into the room's retention class, a batch at a time.

Writers do not wait for it: a batch locks only its own rows, for a moment. How far a room has come is written
with each batch, so a move that was interrupted goes on where it was.
"""

from dataclasses import dataclass

from homeserver.runtime.clock import Clock
from storage.expiry import forget_events
from storage.partitions import position_at
from storage.pool import Database, Row, Transaction
from storage.tables.retention import class_of

__all__ = ["BATCH_EVENTS_MAX", "Moved", "Moves"]

BATCH_EVENTS_MAX = 500
_LOCK_TIMEOUT_MS = 2_000

_BATCH = (
    "SELECT position, room_nid, event_id, retention_class, state_key_nid IS NOT NULL FROM events"
    " WHERE room_nid = %b::bigint AND position > %b::bigint ORDER BY position LIMIT %b::bigint"
)
# The tuple goes from one partition into the other; no column is named, so none can be forgotten.
_MOVE = (
    "UPDATE events SET retention_class = %b::smallint WHERE room_nid = %b::bigint"
    " AND position = ANY(%b::bigint[]) AND state_key_nid IS NULL AND retention_class <> %b::smallint"
)
_MOVE_IDS = "UPDATE event_ids SET retention_class = %b::smallint WHERE event_id = ANY(%b::text[])"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a batch did.

    Attributes:
        events: how many went into the class.
        forgotten: how many were over its lifetime already, and are gone.
        is_done: nothing is left to do for the room.
    """

    events: int
    forgotten: int
    is_done: bool


class Moves:
    """Carries out the moves that `storage.tables.retention` has planned.

    Args:
        database: where the events are.
        clock: tells what is over its lifetime.
        batch_events_max: events looked at in one transaction.
    """

    def __init__(self, *, database: Database, clock: Clock, batch_events_max: int = BATCH_EVENTS_MAX) -> None:
        self._database = database
        self._clock = clock
        self._batch_events_max = batch_events_max

    async def step(self, room_nid: int) -> Moved:
        """Move one batch of a room's events.

        Raises:
            Unavailable: something holds the rows for longer than one should wait. Try again.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            move = await transaction.fetch_one(
                "SELECT done_position FROM retention_moves WHERE room_nid = %b::bigint FOR UPDATE", room_nid
            )
            if move is None:
                return Moved(0, 0, is_done=True)
            target, lifetime_ms = await class_of(transaction, room_nid)
            rows = await transaction.fetch(_BATCH, room_nid, move[0], self._batch_events_max)
            strays = [row for row in rows if not row[4] and row[3] != target]
            gone = [row for row in strays if self._is_over(row, lifetime_ms)]
            forgotten = await forget_events(transaction, gone)
            kept = [row for row in strays if not self._is_over(row, lifetime_ms)]
            if kept:
                await _move(transaction, room_nid, target, kept)
            is_done = len(rows) < self._batch_events_max
            await _note(transaction, room_nid, None if is_done else rows[-1][0])
        return Moved(len(kept), forgotten, is_done)

    def _is_over(self, row: Row, lifetime_ms: int | None) -> bool:
        position = row[0]
        if lifetime_ms is None or position < 0:
            return False
        return bool(position <= position_at(self._clock.now_ms() - lifetime_ms))


async def _move(transaction: Transaction, room_nid: int, target: int, rows: list[Row]) -> None:
    await transaction.execute(_MOVE, target, room_nid, [row[0] for row in rows], target)
    await transaction.execute(_MOVE_IDS, target, [row[2] for row in rows])


async def _note(transaction: Transaction, room_nid: int, done_position: int | None) -> None:
    if done_position is None:
        await transaction.execute("DELETE FROM retention_moves WHERE room_nid = %b::bigint", room_nid)
    else:
        await transaction.execute(
            "UPDATE retention_moves SET done_position = %b::bigint WHERE room_nid = %b::bigint",
            done_position, room_nid,
        )  # fmt: skip
