"""Where the history of a room begins here, and which servers may know what was before."""

from collections.abc import Collection

from storage.tables.events import EventFlags
from storage.tables.queries import Queries

__all__ = [
    "before_first", "has_place", "lowest_position", "servers_of", "taken_below",
    "waited_for",
]  # fmt: skip

_OUTLIER = int(EventFlags.OUTLIER)


async def before_first(queries: Queries, room_nid: int, create_id: str) -> dict[str, int]:
    """Read which events are before the first ones of a room, with the position of an event that names each.

    None are if the creation of the room is here, or nobody of ours is in it.

    Where a server was out of a room for a while, something is missing between its events. That is not told:
    only what is named by the very first event, or by those that were found before it.
    """
    rows = await queries.fetch(
        "SELECT named.event_id, min(named.position) FROM backward_extremities AS named"
        " LEFT JOIN event_ids ON event_ids.event_id = named.event_id"
        " LEFT JOIN events ON events.room_nid = event_ids.room_nid AND events.position = event_ids.position"
        " AND events.retention_class = event_ids.retention_class"
        f" WHERE named.room_nid = %b::bigint AND (events.position IS NULL OR events.flags & {_OUTLIER} <> 0)"
        " AND (named.position < 0 OR named.position = (SELECT min(position) FROM backward_extremities"
        " WHERE room_nid = %b::bigint))"
        " AND EXISTS (SELECT 1 FROM room_counts WHERE room_counts.room_nid = named.room_nid"
        " AND joined_local > 0)"
        " AND NOT EXISTS (SELECT 1 FROM event_ids AS made JOIN events AS created"
        " ON created.room_nid = made.room_nid AND created.position = made.position"
        " AND created.retention_class = made.retention_class"
        f" WHERE made.event_id = %b AND created.flags & {_OUTLIER} = 0)"
        " GROUP BY named.event_id",
        room_nid, room_nid, create_id,
    )  # fmt: skip
    return dict(rows)


async def lowest_position(queries: Queries, room_nid: int) -> int:
    """Read the lowest position of a room below zero; 0 if there is none."""
    row = await queries.fetch_one(
        "SELECT position FROM events WHERE room_nid = %b::bigint AND position < 0 ORDER BY position LIMIT 1",
        room_nid,
    )
    return 0 if row is None else row[0]


async def servers_of(queries: Queries, room_nid: int, *, limit: int) -> list[str]:
    """Name other servers that are in a room: those that came first, and of these the ones with most users."""
    rows = await queries.fetch(
        "SELECT substr(text, strpos(text, ':') + 1) AS server FROM memberships"
        " JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " WHERE room_nid = %b::bigint AND membership = 'join' AND NOT is_local"
        " GROUP BY server ORDER BY min(position), count(*) DESC, server LIMIT %b::bigint",
        room_nid, limit,
    )  # fmt: skip
    return [server for (server,) in rows]


async def taken_below(queries: Queries, room_nid: int, position: int, *, limit: int) -> list[int]:
    """Read which positions of a room below one are taken, the highest first."""
    rows = await queries.fetch(
        "SELECT position FROM events WHERE room_nid = %b::bigint AND position < %b::bigint"
        " ORDER BY position DESC LIMIT %b::bigint",
        room_nid, position, limit,
    )  # fmt: skip
    return [taken for (taken,) in rows]


async def has_place(queries: Queries, room_nid: int, event_id: str) -> bool:
    """Say whether an event has a place in a room's timeline."""
    row = await queries.fetch_one(
        "SELECT 1 FROM event_ids JOIN events ON events.room_nid = event_ids.room_nid"
        " AND events.position = event_ids.position AND events.retention_class = event_ids.retention_class"
        f" WHERE event_ids.event_id = %b AND event_ids.room_nid = %b::bigint AND flags & {_OUTLIER} = 0",
        event_id, room_nid,
    )  # fmt: skip
    return row is not None


async def waited_for(queries: Queries, room_nid: int, event_ids: Collection[str]) -> set[str]:
    """Name those of some events that redactions wait for."""
    rows = await queries.fetch(
        "SELECT DISTINCT redacts FROM waiting_redactions WHERE room_nid = %b::bigint"
        " AND redacts = ANY(%b::text[])",
        room_nid, list(event_ids),
    )  # fmt: skip
    return {redacts for (redacts,) in rows}
