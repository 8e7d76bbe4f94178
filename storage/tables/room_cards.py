"""What shows rooms to those who are not in them: their size, and the state that describes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.pool import Database
from storage.tables.events import EVENT_COLUMNS, Events, StoredEvent

__all__ = ["DirectoryPlace", "RoomCardRow", "RoomCards"]

_SELECT = (
    "SELECT rooms.room_nid, rooms.room_id, rooms.version, coalesce(room_counts.joined, 0)"
    " FROM rooms LEFT JOIN room_counts ON room_counts.room_nid = rooms.room_nid"
)
_PUBLIC = (
    "SELECT rooms.room_nid, rooms.room_id, rooms.version, room_counts.joined"
    " FROM rooms JOIN room_counts ON room_counts.room_nid = rooms.room_nid"
    " WHERE rooms.is_public AND room_counts.joined > 0"
)
# The largest come first; among equals, the oldest.
_AFTER = (
    " AND (room_counts.joined < %b::integer"
    " OR (room_counts.joined = %b::integer AND rooms.room_nid > %b::bigint))"
)
_BEFORE = (
    " AND (room_counts.joined > %b::integer"
    " OR (room_counts.joined = %b::integer AND rooms.room_nid < %b::bigint))"
)
_FORWARDS = " ORDER BY room_counts.joined DESC, rooms.room_nid LIMIT %b::integer"
_BACKWARDS = " ORDER BY room_counts.joined, rooms.room_nid DESC LIMIT %b::integer"
# OFFSET 0 lets the places be known before events are looked for, which may be very many in a room; without
# it the planner may read all of them. An event that was an outlier and found its place later has moved there.
_PLACES = (
    "SELECT state.room_nid, coalesce(moved.position, state.position) AS position FROM current_state AS state"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = state.room_nid AND moved.nid = state.position"
)
_EVENTS = (
    " OFFSET 0) AS found JOIN events ON events.room_nid = found.room_nid"
    " AND events.position = found.position AND events.retention_class = 0"
    " JOIN rooms ON rooms.room_nid = found.room_nid"
)
_STATE = (
    f"SELECT {EVENT_COLUMNS} FROM ({_PLACES} WHERE state.room_nid = ANY(%b::bigint[])"
    " AND state.type_nid IN (SELECT nid FROM interned_types WHERE text = ANY(%b::text[]))"
    f" AND state.state_key_nid = (SELECT nid FROM interned_state_keys WHERE text = ''){_EVENTS}"
)
_OF_TYPE = (
    f"SELECT {EVENT_COLUMNS} FROM ({_PLACES} WHERE state.room_nid = %b::bigint"
    " AND state.type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
    f" ORDER BY state.position LIMIT %b::integer{_EVENTS} WHERE octet_length(events.json) <= %b::integer"
)


@dataclass(frozen=True, slots=True)
class RoomCardRow:
    """A room, and how many are in it.

    Attributes:
        room_nid: its number.
        room_id: its ID.
        version: its version.
        joined: how many users are joined.
    """

    room_nid: int
    room_id: str
    version: str
    joined: int


@dataclass(frozen=True, slots=True)
class DirectoryPlace:
    """A place in the room directory: just after, or just before, a room of this size and number."""

    joined: int
    room_nid: int


class RoomCards:
    """Reads what describes rooms.

    Args:
        database: where it is.
        events: makes events of rows.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    async def by_ids(self, room_ids: Sequence[str]) -> list[RoomCardRow]:
        """Find those of these rooms that are known here."""
        rows = await self._database.fetch(f"{_SELECT} WHERE rooms.room_id = ANY(%b::text[])", list(room_ids))
        return [RoomCardRow(*row) for row in rows]

    async def public_after(self, place: DirectoryPlace | None, limit: int) -> list[RoomCardRow]:
        """Read published rooms with members, the largest first, from the beginning or after a place."""
        after = () if place is None else (place.joined, place.joined, place.room_nid)
        condition = "" if place is None else _AFTER
        rows = await self._database.fetch(f"{_PUBLIC}{condition}{_FORWARDS}", *after, limit)
        return [RoomCardRow(*row) for row in rows]

    async def public_before(self, place: DirectoryPlace, limit: int) -> list[RoomCardRow]:
        """Read published rooms before a place, the nearest first."""
        rows = await self._database.fetch(
            f"{_PUBLIC}{_BEFORE}{_BACKWARDS}", place.joined, place.joined, place.room_nid, limit
        )
        return [RoomCardRow(*row) for row in rows]

    async def public_count(self) -> int:
        """Count the published rooms with members."""
        rows = await self._database.fetch(f"SELECT count(*) FROM ({_PUBLIC}) AS listed")
        count: int = rows[0][0]
        return count

    async def state(self, room_nids: Sequence[int], types: Sequence[str]) -> list[StoredEvent]:
        """Read the current state of these rooms that has one of these types and an empty state key."""
        rows = await self._database.fetch(_STATE, list(room_nids), list(types))
        return await self._events.assemble(rows)

    async def of_type(self, room_nid: int, type_: str, *, limit: int, bytes_max: int) -> list[StoredEvent]:
        """Read current state of one type, the oldest `limit`; none of the events larger than `bytes_max`."""
        rows = await self._database.fetch(_OF_TYPE, room_nid, type_, limit, bytes_max)
        return await self._events.assemble(rows)
