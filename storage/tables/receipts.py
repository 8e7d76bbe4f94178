"""Table family `receipts`: how far users have read."""

from collections.abc import Collection, Sequence

from homeserver.core.changes import ReceiptChange
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = ["RECEIPT_UPSERT", "add", "find", "last_positions", "of_rooms", "shown"]

RECEIPT_UPSERT = Statement(
    name="receipts",
    rank=91,
    sql=(
        "INSERT INTO receipts"
        " (room_nid, position, event_position, ts_ms, user_id, type, thread_id, event_id) SELECT * FROM"
        " unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[],"
        " %b::text[]) ON CONFLICT (room_nid, user_id, type, thread_id) DO UPDATE SET"
        " position = excluded.position, event_position = excluded.event_position, ts_ms = excluded.ts_ms,"
        " event_id = excluded.event_id WHERE receipts.event_position < excluded.event_position"
    ),
    keys=(0, 4, 5, 6),
)
"""Columns: room_nid, position, position of the event, milliseconds, user_id, type, thread_id, event_id."""

_COLUMNS = "position, user_id, type, thread_id, event_id, ts_ms, event_position"


def add(write: Write, room_nid: int, change: ReceiptChange) -> None:
    """Add to a write that a user has read further: the row, and the change that readers see."""
    write.add(
        RECEIPT_UPSERT, room_nid, change.position, change.event_position, change.ts_ms, change.user_id,
        change.type, change.thread_id or "", change.event_id,
    )  # fmt: skip
    write.changes.append(change)


async def find(
    queries: Queries, room_nid: int, user_id: str, type_: str, thread_id: str | None
) -> int | None:
    """Tell the position of the event that a user's receipt names, if there is one."""
    row = await queries.fetch_one(
        "SELECT event_position FROM receipts WHERE room_nid = %b::bigint AND user_id = %b AND type = %b"
        " AND thread_id = %b",
        room_nid, user_id, type_, thread_id or "",
    )  # fmt: skip
    return None if row is None else row[0]


async def of_rooms(
    queries: Queries, asked: Sequence[tuple[int, str, int]], *, limit: int
) -> list[list[ReceiptChange]]:
    """Read of each room (number, ID, position) the receipts above the position, the latest, oldest first."""
    rows = await queries.fetch(
        f"SELECT asked.number, {_COLUMNS} FROM unnest(%b::bigint[], %b::bigint[]) WITH ORDINALITY"
        f" AS asked (room_nid, after, number) CROSS JOIN LATERAL (SELECT {_COLUMNS} FROM receipts"
        " WHERE receipts.room_nid = asked.room_nid AND position > asked.after"
        " ORDER BY position DESC LIMIT %b::bigint) AS receipt ORDER BY position",
        [one[0] for one in asked], [one[2] for one in asked], limit,
    )  # fmt: skip
    found: list[list[ReceiptChange]] = [[] for _ in asked]
    for number, position, user_id, type_, thread_id, event_id, ts_ms, event_position in rows:
        room_id = asked[number - 1][1]
        found[number - 1].append(
            ReceiptChange(
                position, room_id, user_id, type_, thread_id or None, event_id, ts_ms, event_position
            )
        )
    return found


async def shown(
    queries: Queries, room_ids: Collection[str], user_id: str, event_ids: Collection[str], *, limit: int
) -> Sequence[ReceiptChange]:
    """Read a user's own receipts in several rooms, and among the latest of each room those on some events."""
    rows = await queries.fetch(
        f"SELECT room_id, {_COLUMNS} FROM rooms CROSS JOIN LATERAL ((SELECT {_COLUMNS} FROM receipts"
        " WHERE receipts.room_nid = rooms.room_nid AND user_id = %b LIMIT %b::bigint) UNION"
        f" SELECT {_COLUMNS} FROM (SELECT {_COLUMNS} FROM receipts WHERE receipts.room_nid = rooms.room_nid"
        " ORDER BY position DESC LIMIT %b::bigint) AS latest WHERE event_id = ANY(%b::text[])) AS receipt"
        " WHERE room_id = ANY(%b::text[]) ORDER BY position",
        user_id, limit, limit, list(event_ids), list(room_ids),
    )  # fmt: skip
    return [
        ReceiptChange(position, room_id, owner, type_, thread_id or None, event_id, ts_ms, event_position)
        for room_id, position, owner, type_, thread_id, event_id, ts_ms, event_position in rows
    ]


async def last_positions(queries: Queries, room_ids: Collection[str]) -> dict[str, int]:
    """Tell the position of the last receipt of each room that has any."""
    rows = await queries.fetch(
        "SELECT room_id, last.position FROM rooms CROSS JOIN LATERAL (SELECT position FROM receipts"
        " WHERE receipts.room_nid = rooms.room_nid ORDER BY position DESC LIMIT 1) AS last"
        " WHERE room_id = ANY(%b::text[])",
        list(room_ids),
    )
    return dict(rows)
