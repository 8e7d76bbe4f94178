"""The edges of rooms' graphs: outliers that find their place, events that we lack, redactions that wait."""

from collections.abc import Collection, Sequence

from homeserver.core.event.pdu import Event
from storage.pool import Database
from storage.tables.events import EventFlags, EventPlace
from storage.write import Statement, Write

__all__ = [
    "Graph", "add_backward_extremity", "add_found_event", "add_moved_event", "add_released",
    "add_waiting_redaction",
]  # fmt: skip

_NOT_ACCEPTED = int(EventFlags.REJECTED | EventFlags.SOFT_FAILED)

_MOVE = Statement(
    name="events_moved",
    rank=25,
    sql=(
        "WITH new AS (SELECT * FROM"
        " unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::smallint[])"
        " AS new (room_nid, event_id, nid, position, state_group, flags)),"
        " ids AS (UPDATE event_ids SET position = new.position FROM new"
        " WHERE event_ids.event_id = new.event_id),"
        " moved AS (INSERT INTO moved_events (room_nid, nid, position)"
        " SELECT room_nid, nid, position FROM new)"
        " UPDATE events SET position = new.position, state_group = new.state_group,"
        f" flags = (events.flags & ~{int(EventFlags.OUTLIER)}) | new.flags FROM new"
        " WHERE events.room_nid = new.room_nid AND events.position = new.nid"
    ),
)
"""Columns: room_nid, event_id, its position as an outlier, its position now, state_group, further flags."""

_BACKWARD_INSERT = Statement(
    name="backward_extremities",
    rank=45,
    sql=(
        "INSERT INTO backward_extremities (room_nid, event_id, position)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[]) ON CONFLICT DO NOTHING"
    ),
)
_BACKWARD_DELETE = Statement(
    name="backward_extremities_deleted",
    rank=46,
    sql=(
        "DELETE FROM backward_extremities"
        " USING unnest(%b::bigint[], %b::text[]) AS found (room_nid, event_id)"
        " WHERE backward_extremities.room_nid = found.room_nid"
        " AND backward_extremities.event_id = found.event_id"
    ),
    keys=(0, 1),
)
_WAITING_INSERT = Statement(
    name="waiting_redactions",
    rank=31,
    sql=(
        "INSERT INTO waiting_redactions (room_nid, redacts, position)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bigint[]) ON CONFLICT DO NOTHING"
    ),
)
_WAITING_DELETE = Statement(
    name="waiting_redactions_deleted",
    rank=32,
    sql=(
        "DELETE FROM waiting_redactions USING unnest(%b::bigint[], %b::text[]) AS found (room_nid, redacts)"
        " WHERE waiting_redactions.room_nid = found.room_nid AND waiting_redactions.redacts = found.redacts"
    ),
    keys=(0, 1),
)
_RELEASE = Statement(
    name="events_released",
    rank=33,
    sql=(
        f"UPDATE events SET flags = events.flags & ~{int(EventFlags.WITHHELD)}"
        " FROM unnest(%b::bigint[], %b::bigint[]) AS new (room_nid, position)"
        " WHERE events.room_nid = new.room_nid AND events.position = new.position"
    ),
    keys=(0, 1),
)


def add_moved_event(write: Write, event: Event, room_nid: int, nid: int, place: EventPlace) -> None:
    """Add to a write that an outlier has found its place."""
    write.add(_MOVE, room_nid, event.event_id, nid, place.position, place.state_group, int(place.flags))


def add_backward_extremity(write: Write, room_nid: int, event_id: str, position: int) -> None:
    """Add to a write that the event at a position names one that has no place here."""
    write.add(_BACKWARD_INSERT, room_nid, event_id, position)


def add_found_event(write: Write, room_nid: int, event_id: str) -> None:
    """Add to a write that an event has a place here now."""
    write.add(_BACKWARD_DELETE, room_nid, event_id)


def add_waiting_redaction(write: Write, room_nid: int, redacts: str, position: int) -> None:
    """Add to a write that the redaction at a position waits for the event that it redacts."""
    write.add(_WAITING_INSERT, room_nid, redacts, position)


def add_released(write: Write, room_nid: int, redacts: str, positions: Sequence[int]) -> None:
    """Add to a write that an event has come, and which redactions that waited for it clients may see."""
    write.add(_WAITING_DELETE, room_nid, redacts)
    for position in positions:
        write.add(_RELEASE, room_nid, position)


class Graph:
    """Reads the edges of graphs.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expected(self, room_nid: int, event_ids: Collection[str]) -> set[str]:
        """Tell of which events something is known: they are stored, named, or a redaction waits for them."""
        rows = await self._database.fetch(
            "SELECT asked.event_id FROM unnest(%b::text[]) AS asked (event_id)"
            " WHERE EXISTS (SELECT 1 FROM event_ids WHERE event_ids.event_id = asked.event_id)"
            " OR EXISTS (SELECT 1 FROM backward_extremities AS named"
            " WHERE named.room_nid = %b::bigint AND named.event_id = asked.event_id)"
            " OR EXISTS (SELECT 1 FROM waiting_redactions AS waiting"
            " WHERE waiting.room_nid = %b::bigint AND waiting.redacts = asked.event_id)",
            list(event_ids), room_nid, room_nid,
        )  # fmt: skip
        return {event_id for (event_id,) in rows}

    async def is_named(self, room_nid: int, event_id: str) -> bool:
        """Say whether an event that has no place here is named as a predecessor by an accepted one."""
        row = await self._database.fetch_one(
            "SELECT 1 FROM backward_extremities AS named JOIN events"
            " ON events.room_nid = named.room_nid AND events.position = named.position"
            f" AND events.flags & {_NOT_ACCEPTED} = 0"
            " WHERE named.room_nid = %b::bigint AND named.event_id = %b LIMIT 1",
            room_nid, event_id,
        )  # fmt: skip
        return row is not None

    async def backward_extremities(self, room_nid: int) -> list[str]:
        """List events of a room that have no place here though others name them, the latest first."""
        rows = await self._database.fetch(
            "SELECT event_id FROM backward_extremities WHERE room_nid = %b::bigint GROUP BY event_id"
            " ORDER BY max(position) DESC",
            room_nid,
        )
        return [event_id for (event_id,) in rows]

    async def waiting_redactions(self, room_nid: int, redacts: str) -> list[str]:
        """List the redactions that wait for an event, the earliest first."""
        rows = await self._database.fetch(
            "SELECT event_id FROM waiting_redactions AS waiting JOIN events"
            " ON events.room_nid = waiting.room_nid AND events.position = waiting.position"
            " WHERE waiting.room_nid = %b::bigint AND redacts = %b ORDER BY waiting.position",
            room_nid, redacts,
        )  # fmt: skip
        return [event_id for (event_id,) in rows]
