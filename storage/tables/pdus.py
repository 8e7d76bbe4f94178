"""Events as other servers want them: their IDs and their JSON, by number, and what allows them."""

from collections.abc import Collection, Sequence

from storage.tables.events import BY_INDEX, EVENT_COLUMNS, EventFlags
from storage.tables.queries import Queries

__all__ = ["NOT_TOLD", "chain_of", "ids_of", "json_of", "page_before"]

NOT_TOLD = EventFlags.OUTLIER | EventFlags.REJECTED
"""What has no place in the graph, or none that others would see."""

_AT_NIDS = (
    " LEFT JOIN moved_events AS moved ON moved.room_nid = %b::bigint AND moved.nid = asked.nid"
    " JOIN LATERAL (SELECT event_id, json, auth_nids FROM events WHERE events.room_nid = %b::bigint"
    " AND events.retention_class = 0"
    f" AND events.position = coalesce(moved.position, asked.nid) {BY_INDEX}) AS event ON true"
)
_ASKED = "FROM unnest(%b::bigint[]) AS asked (nid)"
# Level by level in the database, each event once: long-lived rooms have chains of hundreds of levels.
_CHAIN = (
    "WITH RECURSIVE chain (nid) AS ("
    f"SELECT unnest(event.auth_nids) {_ASKED}{_AT_NIDS}"
    f" UNION SELECT unnest(event.auth_nids) FROM chain AS asked{_AT_NIDS}"
    ") SELECT nid FROM chain LIMIT %b::bigint"
)
_PAGE_BEFORE = (
    f"SELECT {EVENT_COLUMNS} FROM events JOIN rooms ON rooms.room_nid = events.room_nid"
    f" WHERE events.room_nid = %b::bigint AND events.flags & {int(NOT_TOLD)} = 0"
    " AND events.position <= %b::bigint ORDER BY events.position DESC LIMIT %b::bigint"
)


async def chain_of(queries: Queries, room_nid: int, nids: Collection[int], *, limit: int) -> list[int]:
    """Number all that is in the auth chains of state events; those themselves only if they are in others'."""
    rows = await queries.fetch(_CHAIN, list(nids), room_nid, room_nid, room_nid, room_nid, limit)
    return [nid for (nid,) in rows]


async def ids_of(queries: Queries, room_nid: int, nids: Collection[int]) -> list[str]:
    """Name state events by their numbers."""
    rows = await queries.fetch(f"SELECT event.event_id {_ASKED}{_AT_NIDS}", list(nids), room_nid, room_nid)
    return [event_id for (event_id,) in rows]


async def json_of(queries: Queries, room_nid: int, nids: Collection[int]) -> list[bytes]:
    """Read the canonical JSON of state events by their numbers."""
    rows = await queries.fetch(f"SELECT event.json {_ASKED}{_AT_NIDS}", list(nids), room_nid, room_nid)
    return [bytes(json) for (json,) in rows]


async def page_before(
    queries: Queries, room_nid: int, position: int, *, limit: int
) -> Sequence[tuple[object, ...]]:
    """Read the events of a room at a position and before it, the latest first: rows for `Events.assemble`."""
    return await queries.fetch(_PAGE_BEFORE, room_nid, position, limit)
