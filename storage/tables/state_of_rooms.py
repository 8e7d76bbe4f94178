"""Pieces of the current state of several rooms, in one query: what a list of rooms shows of each."""

from collections.abc import Collection, Mapping, Sequence

from storage.interning import Interning
from storage.pool import Database
from storage.tables.events import EVENT_COLUMNS, Events, StoredEvent

__all__ = ["StateOfRooms"]

Keys = Collection[tuple[str, str]]

# OFFSET 0 lets the places be known before events are looked for: the planner might read all events of a room.
# All events of a room are found in one go by the index, instead of one after the other.
_STATE = (
    f"SELECT {EVENT_COLUMNS} FROM"
    " (SELECT place.room_nid, array_agg(place.position) AS positions, min(place.position) AS low,"
    " max(place.position) AS high FROM"
    " (SELECT state.room_nid, coalesce(moved.position, state.nid) AS position FROM ("
    "SELECT room_nid, position AS nid FROM unnest(%b::bigint[], %b::integer[], %b::integer[])"
    " AS asked (room_nid, type_nid, state_key_nid)"
    " JOIN current_state USING (room_nid, type_nid, state_key_nid)"
    " UNION SELECT room_nid, position AS nid FROM unnest(%b::bigint[], %b::integer[])"
    " AS asked (room_nid, type_nid) JOIN current_state USING (room_nid, type_nid)) AS state"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = state.room_nid AND moved.nid = state.nid"
    " WHERE state.nid <> 0 OFFSET 0) AS place GROUP BY place.room_nid OFFSET 0) AS found"
    " JOIN LATERAL (SELECT * FROM events"
    " WHERE events.room_nid = found.room_nid AND events.position = ANY(found.positions)"
    " AND events.position BETWEEN found.low AND found.high"
    " AND events.retention_class = 0 OFFSET 0) AS events ON true"
    " JOIN rooms ON rooms.room_nid = found.room_nid ORDER BY events.position"
)


class StateOfRooms:
    """Reads them.

    Args:
        database: where they are.
        interning: numbers types and state keys.
        events: makes events of rows.
    """

    def __init__(self, database: Database, interning: Interning, events: Events) -> None:
        self._database = database
        self._interning = interning
        self._events = events

    async def read(self, wanted: Mapping[int, tuple[Collection[str], Keys]]) -> Sequence[StoredEvent]:
        """Read of each room, by its number, what has one of these types, or one of these types and keys."""
        types = {
            type_ for of_room, keys in wanted.values() for type_ in (*of_room, *[key[0] for key in keys])
        }
        state_keys = {key[1] for _, keys in wanted.values() for key in keys}
        type_nids = await self._interning.existing("type", types)
        key_nids = await self._interning.existing("state_key", state_keys)
        by_key = [
            (room_nid, type_nids[type_], key_nids[state_key])
            for room_nid, (_, keys) in wanted.items()
            for type_, state_key in keys
            if type_ in type_nids and state_key in key_nids
        ]
        by_type = [
            (room_nid, type_nids[type_])
            for room_nid, (of_room, _) in wanted.items()
            for type_ in of_room
            if type_ in type_nids
        ]
        rows = await self._database.fetch(
            _STATE,
            *([row[column] for row in by_key] for column in range(3)),
            *([row[column] for row in by_type] for column in range(2)),
        )
        return await self._events.assemble(rows)
