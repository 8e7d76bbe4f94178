"""Table family `retention`: classes, the time that reads go by, rooms on the move, and redacted events."""

from collections.abc import Collection
from dataclasses import dataclass

from homeserver.core.content.retention import Keeping
from homeserver.core.positions import EPOCH_MS, make
from storage.pool import Database
from storage.tables.queries import Queries
from storage.write import Statement

__all__ = [
    "IS_OVER_LIFETIME", "KEEP_REDACTED", "POSITIONS_PER_MS", "RetainedRoom", "Retention", "class_of",
    "plan_move",
]  # fmt: skip

POSITIONS_PER_MS = make(EPOCH_MS + 1, 0, 0)
_POSITION_MIN = -(2**63)
_REDACTED_PER_DELETE_MAX = 1_000

IS_OVER_LIFETIME = (
    "(events.state_key_nid IS NULL AND rooms.retention_lifetime_ms IS NOT NULL AND events.position >= 0"
    " AND events.position <= (SELECT now_position FROM retention_present)"
    f" - rooms.retention_lifetime_ms * {POSITIONS_PER_MS})"
)
"""Whether an event has lived for longer than its room wants, though storage may still have it; a query joins
`events` and `rooms`. Positions below zero tell no time: such events are gone once storage drops them."""

KEEP_REDACTED = Statement(
    name="redacted_events",
    rank=29,  # before the content goes
    sql=(
        "INSERT INTO redacted_events (room_nid, redacted_position, event_id, json)"
        " SELECT events.room_nid, redaction.position, events.event_id, events.json"
        " FROM unnest(%b::text[], %b::text[]) AS new (event_id, redaction_id)"
        " JOIN event_ids AS redaction ON redaction.event_id = new.redaction_id"
        " JOIN event_ids ON event_ids.event_id = new.event_id"
        " JOIN events ON events.room_nid = event_ids.room_nid AND events.position = event_ids.position"
        " AND events.retention_class = event_ids.retention_class"
        " WHERE events.redacted_because IS NULL"
        " AND (SELECT redacted_content_kept_ms FROM retention_present) > 0"
        " ON CONFLICT DO NOTHING"
    ),
    keys=(0,),
)
"""Columns: event_id of the redacted event, event_id of the redaction. Keeps nothing if so configured."""

_ROOMS = (
    "SELECT rooms.room_nid, rooms.room_id, rooms.retention_class, rooms.retention_lifetime_ms, events.json"
    " FROM rooms LEFT JOIN LATERAL (SELECT events.json FROM current_state AS state"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = state.room_nid AND moved.nid = state.position"
    " JOIN events ON events.room_nid = state.room_nid"
    " AND events.position = coalesce(moved.position, state.position) AND events.retention_class = 0"
    " WHERE state.room_nid = rooms.room_nid"
    " AND state.type_nid = (SELECT nid FROM interned_types WHERE text = 'm.room.retention')"
    " AND state.state_key_nid = (SELECT nid FROM interned_state_keys WHERE text = '')"
    " LIMIT 1) AS events ON true"
)
_AFTER = " WHERE rooms.room_nid > %b::bigint"
_IN_ORDER = " ORDER BY rooms.room_nid LIMIT %b::bigint"


@dataclass(frozen=True, slots=True)
class RetainedRoom:
    """A room, how it is kept, and what it says on that.

    Attributes:
        room_nid: its number.
        room_id: its ID.
        keeping: how it is kept.
        json: its `m.room.retention`, as stored; None if it has none.
    """

    room_nid: int
    room_id: str
    keeping: Keeping
    json: bytes | None


class Retention:
    """Reads and writes what is known of retention.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def classes(self) -> dict[int, int]:
        """Read every class there ever was, with its lifetime in milliseconds; class 0 is not among them."""
        return dict(await self._database.fetch("SELECT class, lifetime_ms FROM retention_classes"))

    async def add_classes(self, lifetimes_ms: Collection[int]) -> dict[int, int]:
        """Give a class to each lifetime that has none; returns class to lifetime of those asked for."""
        await self._database.execute(
            "INSERT INTO retention_classes (class, lifetime_ms)"
            " SELECT row_number() OVER (ORDER BY lifetime_ms)"
            " + (SELECT coalesce(max(class), 0) FROM retention_classes), lifetime_ms"
            " FROM unnest(%b::bigint[]) AS new (lifetime_ms)"
            " WHERE lifetime_ms NOT IN (SELECT lifetime_ms FROM retention_classes)",
            list(lifetimes_ms),
        )
        return {number: has for number, has in (await self.classes()).items() if has in lifetimes_ms}

    async def set_present(self, now_position: int, redacted_content_kept_ms: int) -> None:
        """Set what reads go by. Time only goes forward: what was over once stays so."""
        await self._database.execute(
            "UPDATE retention_present SET now_position = greatest(now_position, %b::bigint),"
            " redacted_content_kept_ms = %b::bigint",
            now_position, redacted_content_kept_ms,
        )  # fmt: skip

    async def rooms(self, after_room_nid: int, limit: int, *, kept_only: bool) -> list[RetainedRoom]:
        """Read rooms in the order of their numbers.

        Args:
            after_room_nid: only those with a greater number.
            limit: at most so many.
            kept_only: only those that are not kept for ever.
        """
        condition = " AND rooms.retention_class <> 0" if kept_only else ""
        rows = await self._database.fetch(_ROOMS + _AFTER + condition + _IN_ORDER, after_room_nid, limit)
        return [RetainedRoom(row[0], row[1], Keeping(row[2], row[3]), row[4]) for row in rows]

    async def room(self, room_id: str) -> RetainedRoom | None:
        """Read one room."""
        row = await self._database.fetch_one(f"{_ROOMS} WHERE rooms.room_id = %b", room_id)
        return None if row is None else RetainedRoom(row[0], row[1], Keeping(row[2], row[3]), row[4])

    async def plan(self, room_nid: int, keeping: Keeping) -> bool:
        """Keep a room like this from now on; returns whether its events have to move for that."""
        async with self._database.transaction() as transaction:
            return await plan_move(transaction, room_nid, keeping)

    async def moving(self, limit: int) -> list[tuple[int, str]]:
        """Read which rooms have events on the move: number and ID."""
        rows = await self._database.fetch(
            "SELECT room_nid, room_id FROM retention_moves JOIN rooms USING (room_nid)"
            " ORDER BY room_nid LIMIT %b::bigint",
            limit,
        )
        return [(room_nid, room_id) for room_nid, room_id in rows]

    async def redacted(self, room_nid: int, event_id: str) -> bytes | None:
        """Find the JSON of an event as it was before its redaction, if that is not too long ago."""
        row = await self._database.fetch_one(
            "SELECT json FROM redacted_events WHERE room_nid = %b::bigint AND event_id = %b",
            room_nid, event_id,
        )  # fmt: skip
        return None if row is None else bytes(row[0])

    async def forget_redacted(self, before_position: int) -> int:
        """Delete what was redacted before a position, so many at a time; returns how many."""
        return await self._database.execute(
            "DELETE FROM redacted_events WHERE (room_nid, event_id) IN (SELECT room_nid, event_id"
            f" FROM redacted_events WHERE redacted_position < %b::bigint LIMIT {_REDACTED_PER_DELETE_MAX})",
            before_position,
        )


async def plan_move(queries: Queries, room_nid: int, keeping: Keeping) -> bool:
    """Set how a room is kept, and note that its events have to move if that is in another class.

    A move under way begins again, since what it has done was for another class.
    """
    before = await queries.fetch_one(
        "SELECT retention_class FROM rooms WHERE room_nid = %b::bigint FOR UPDATE", room_nid
    )
    if before is None:
        return False
    await queries.execute(
        "UPDATE rooms SET retention_class = %b::smallint, retention_lifetime_ms = %b::bigint"
        " WHERE room_nid = %b::bigint",
        keeping.retention_class, keeping.lifetime_ms, room_nid,
    )  # fmt: skip
    if before[0] == keeping.retention_class:
        return False
    await queries.execute(
        "INSERT INTO retention_moves (room_nid, done_position) VALUES (%b::bigint, %b::bigint)"
        " ON CONFLICT (room_nid) DO UPDATE SET done_position = excluded.done_position",
        room_nid, _POSITION_MIN,
    )  # fmt: skip
    return True


async def class_of(queries: Queries, room_nid: int) -> tuple[int, int | None]:
    """Read the class of a room, and the lifetime of the class; None for ever."""
    row = await queries.fetch_one(
        "SELECT retention_class, lifetime_ms FROM rooms"
        " LEFT JOIN retention_classes ON class = retention_class WHERE room_nid = %b::bigint",
        room_nid,
    )
    assert row is not None, "a room is never deleted while its events move"
    return row[0], row[1]
