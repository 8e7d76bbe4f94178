"""Places: where in rooms something happened, by position and room, without what it was."""

from collections.abc import Mapping

from storage.tables.queries import Queries

__all__ = ["after"]

_LATEST_OF_ROOM = (
    " WHERE {0}.room_nid = rooms.room_nid AND {0}.position > %b::bigint AND {0}.position <= asked.until"
    " ORDER BY {0}.position DESC LIMIT %b::bigint"
)
_AFTER = (
    "SELECT place.position, rooms.room_id FROM unnest(%b::text[], %b::bigint[]) AS asked (room_id, until)"
    " JOIN rooms ON rooms.room_id = asked.room_id CROSS JOIN LATERAL ("
    + " UNION ALL ".join(
        f"(SELECT {table}.position FROM {table}{_LATEST_OF_ROOM.format(table)})"
        for table in ("events", "receipts")
    )
    + ") AS place ORDER BY place.position DESC LIMIT %b::bigint"
)


async def after(
    queries: Queries, until: Mapping[str, int], position: int, limit: int
) -> list[tuple[int, str]]:
    """Read the places of events and receipts of some rooms above a position: the latest ones, oldest first.

    Args:
        queries: to read with.
        until: the rooms, by ID, each with the position beyond which nothing counts.
        position: where to begin.
        limit: at most so many.
    """
    rows = await queries.fetch(
        _AFTER, list(until), list(until.values()), position, limit, position, limit, limit
    )
    return [(row[0], row[1]) for row in reversed(rows)]
