"""How many users are in each room: kept by the writes of member events, so that nobody needs to count."""

from collections.abc import Collection

from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = ["ROOM_COUNTS_ADD", "add_joined", "add_membership_change", "joined"]

_JOIN = "join"

# Several members of a room may come and go in one flush, and one statement must not touch a row twice.
ROOM_COUNTS_ADD = Statement(
    name="room_counts",
    rank=62,
    sql=(
        "INSERT INTO room_counts (room_nid, joined, joined_local)"
        " SELECT room_nid, sum(joined), sum(joined_local)"
        " FROM unnest(%b::bigint[], %b::integer[], %b::integer[]) AS new (room_nid, joined, joined_local)"
        " GROUP BY room_nid ON CONFLICT (room_nid) DO UPDATE SET"
        " joined = room_counts.joined + excluded.joined,"
        " joined_local = room_counts.joined_local + excluded.joined_local"
    ),
)
"""Columns: room_nid, and by how much the joined users and the joined users of ours become more."""


def add_joined(write: Write, room_nid: int, *, joined: int, joined_local: int) -> None:
    """Add to a write by how much a room's joined users (and those among them who are ours) become more."""
    if joined or joined_local:
        write.add(ROOM_COUNTS_ADD, room_nid, joined, joined_local)


def add_membership_change(
    write: Write, room_nid: int, *, before: str | None, now: str | None, is_local: bool
) -> None:
    """Add to a write that one user's membership of a room changed, by an event or because state was resolved.

    Every write that changes `memberships` calls this, with what was there just before; None for nothing.
    """
    joined = int(now == _JOIN) - int(before == _JOIN)
    add_joined(write, room_nid, joined=joined, joined_local=joined if is_local else 0)


async def joined(queries: Queries, room_ids: Collection[str]) -> dict[str, int]:
    """Tell how many users are in each of some rooms."""
    rows = await queries.fetch(
        "SELECT room_id, joined FROM room_counts JOIN rooms USING (room_nid)"
        " WHERE room_id = ANY(%b::text[])",
        list(room_ids),
    )
    return dict(rows)
