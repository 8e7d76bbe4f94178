"""Table family `sticky_events`: what everybody in a room is told of for a while. See the schema."""

from collections.abc import Collection, Sequence

from homeserver.core.changes import StickyChange
from homeserver.core.event.pdu import STICKY, Event
from homeserver.core.event.sticky import sticky_until_ms
from storage.tables.events import BY_INDEX, EVENT_COLUMNS, HIDDEN, EventFlags, Events, StoredEvent
from storage.tables.queries import Queries
from storage.tables.retention import IS_OVER_LIFETIME
from storage.write import Statement, Write

__all__ = [
    "STICKY_INSERT", "add_sticky_event", "current", "delete_over", "move_soft_failed",
    "rooms_with_soft_failed", "soft_failed_in",
]  # fmt: skip

STICKY_INSERT = Statement(
    name="sticky_events",
    rank=25,
    sql=(
        "INSERT INTO sticky_events (room_nid, position, until_ms, is_soft_failed, sender, event_id)"
        " SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::boolean[], %b::text[],"
        " %b::text[])"
    ),
)
"""Columns: room_nid, position, until_ms, is_soft_failed, sender, event_id; from `add_sticky_event`."""

STICKY_MOVE = Statement(
    name="sticky_events_moved",
    rank=26,
    sql=(
        "UPDATE sticky_events SET is_soft_failed = false, position = moved.position"
        " FROM unnest(%b::bigint[], %b::text[], %b::bigint[]) AS moved (room_nid, event_id, position)"
        " WHERE sticky_events.room_nid = moved.room_nid AND sticky_events.event_id = moved.event_id"
        " AND sticky_events.is_soft_failed"
    ),
    keys=(0, 1),
)
"""Columns: room_nid, event_id, the new position."""

_ANY = (
    "SELECT 1 FROM sticky_events WHERE position <= %b::bigint AND until_ms > %b::bigint"
    " AND NOT is_soft_failed LIMIT 1"
)
_CURRENT = (
    f"SELECT {EVENT_COLUMNS}, sticky.position FROM"
    " unnest(%b::text[], %b::bigint[]) AS asked (room_id, after)"
    " JOIN rooms ON rooms.room_id = asked.room_id"
    " JOIN sticky_events AS sticky ON sticky.room_nid = rooms.room_nid AND sticky.position > asked.after"
    " AND sticky.position <= %b::bigint AND sticky.until_ms > %b::bigint AND NOT sticky.is_soft_failed"
    " AND sticky.sender <> ALL(%b::text[])"
    " JOIN event_ids ON event_ids.event_id = sticky.event_id JOIN LATERAL (SELECT * FROM events"
    " WHERE events.room_nid = event_ids.room_nid AND events.position = event_ids.position"
    f" AND events.retention_class = event_ids.retention_class {BY_INDEX}) AS events ON true"
    f" WHERE events.flags & {int(EventFlags.REDACTED)} = 0 AND NOT {IS_OVER_LIFETIME}"
    " ORDER BY sticky.position LIMIT %b::bigint"
)


def add_sticky_event(write: Write, event: Event, *, room_nid: int, position: int, flags: EventFlags) -> None:
    """Add to a write the row of an event that is sticky; of any other, or one from the past, nothing.

    What is soft-failed may pass later, so it is published, too: readers are told of no other event like it.
    """
    if STICKY not in event.pdu or position < 0 or flags & HIDDEN & ~EventFlags.SOFT_FAILED:
        return
    until_ms = sticky_until_ms(event, position)
    if until_ms:
        is_soft_failed = bool(flags & EventFlags.SOFT_FAILED)
        write.add(STICKY_INSERT, room_nid, position, until_ms, is_soft_failed, event.sender, event.event_id)
        if is_soft_failed:
            write.changes.append(StickyChange(position, event.room_id, event, is_soft_failed=True))


def move_soft_failed(write: Write, room_nid: int, event_id: str, position: int) -> None:
    """Add to a write that an event which was soft-failed takes its place among those that are told."""
    write.add(STICKY_MOVE, room_nid, event_id, position)


async def current(
    queries: Queries, events: Events, after: Sequence[tuple[str, int]], *, until: int, now_ms: int,
    ignored: Collection[str], limit: int,
) -> list[tuple[int, StoredEvent]]:  # fmt: skip
    """Read what is sticky now in some rooms, in the order of the stream: position there, and the event.

    Args:
        queries: where to read.
        events: makes events of rows.
        after: the rooms, by ID, each with the position above which to read.
        until: nothing above this position.
        now_ms: what was over by then is left out.
        ignored: what these users sent is left out, too.
        limit: so many at most.
    """
    if not await queries.fetch(_ANY, until, now_ms):
        return []  # nearly always, and the other question takes PostgreSQL milliseconds to plan
    rows = await queries.fetch(
        _CURRENT, [room_id for room_id, _ in after], [position for _, position in after], until, now_ms,
        list(ignored), limit,
    )  # fmt: skip
    found = await events.assemble([row[:-1] for row in rows])
    return [(row[-1], one) for row, one in zip(rows, found, strict=True)]


async def rooms_with_soft_failed(queries: Queries, now_ms: int) -> list[str]:
    """Name the rooms in which sticky events wait for a state that they pass with."""
    rows = await queries.fetch(
        "SELECT DISTINCT room_id FROM sticky_events JOIN rooms USING (room_nid)"
        " WHERE is_soft_failed AND until_ms > %b::bigint",
        now_ms,
    )
    return [room_id for (room_id,) in rows]


async def soft_failed_in(queries: Queries, room_nid: int, now_ms: int, *, limit: int) -> list[str]:
    """Read the IDs of the sticky events of a room that were soft-failed, oldest first."""
    rows = await queries.fetch(
        "SELECT event_id FROM sticky_events WHERE room_nid = %b::bigint AND is_soft_failed"
        " AND until_ms > %b::bigint ORDER BY position LIMIT %b::bigint",
        room_nid, now_ms, limit,
    )  # fmt: skip
    return [event_id for (event_id,) in rows]


async def delete_over(queries: Queries, now_ms: int) -> int:
    """Delete the rows of what is not sticky any more; returns how many."""
    return await queries.execute("DELETE FROM sticky_events WHERE until_ms <= %b::bigint", now_ms)
