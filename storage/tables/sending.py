"""Table family `sending`: which server lacks events of which rooms, and whose device lists it is to be told.

Never the events themselves: they are in their rooms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.pool import Database
from storage.tables.events import EVENT_COLUMNS, EventFlags, Events, StoredEvent
from storage.tables.queries import Queries
from storage.write import Statement

__all__ = [
    "ROOM_DELETE", "ROOM_UPSERT", "SENDER_POSITION_UPSERT", "USER_DELETE", "USER_UPSERT", "Lacking",
    "Unsent", "lacking", "lists_changed_after", "rooms_with_remotes_after", "sender_position",
]  # fmt: skip

_NEVER_SENT = int(EventFlags.OUTLIER | EventFlags.REJECTED | EventFlags.SOFT_FAILED)

SENDER_POSITION_UPSERT = Statement(
    name="sender_position",
    rank=152,
    sql=(
        "INSERT INTO sender_position (position) SELECT max(position) FROM unnest(%b::bigint[])"
        " AS new (position) ON CONFLICT (is_only) DO UPDATE SET position = excluded.position"
    ),
)
"""Columns: position."""

ROOM_UPSERT = Statement(
    name="destination_rooms",
    rank=151,
    sql=(
        "INSERT INTO destination_rooms (destination, room_nid, position)"
        " SELECT destination, rooms.room_nid, position"
        " FROM unnest(%b::text[], %b::text[], %b::bigint[]) AS new (destination, room_id, position)"
        " JOIN rooms USING (room_id)"
        " ON CONFLICT (destination, room_nid) DO UPDATE SET position = excluded.position"
    ),
    keys=(0, 1),
)
"""Columns: destination, room_id, position of the first event that it may lack."""

ROOM_DELETE = Statement(
    name="destination_rooms_done",
    rank=150,
    sql=(
        "DELETE FROM destination_rooms USING rooms,"
        " unnest(%b::text[], %b::text[]) AS done (destination, room_id)"
        " WHERE rooms.room_id = done.room_id AND destination_rooms.room_nid = rooms.room_nid"
        " AND destination_rooms.destination = done.destination"
    ),
    keys=(0, 1),
)
"""Columns: destination, room_id."""

USER_UPSERT = Statement(
    name="destination_users",
    rank=151,
    sql=(
        "INSERT INTO destination_users (destination, user_id, position)"
        " SELECT * FROM unnest(%b::text[], %b::text[], %b::bigint[])"
        " ON CONFLICT (destination, user_id) DO UPDATE SET position = excluded.position"
    ),
    keys=(0, 1),
)
"""Columns: destination, user_id, position of the change."""

USER_DELETE = Statement(
    name="destination_users_done",
    rank=150,
    sql=(
        "DELETE FROM destination_users USING unnest(%b::text[], %b::text[]) AS done (destination, user_id)"
        " WHERE destination_users.destination = done.destination AND destination_users.user_id = done.user_id"
    ),
    keys=(0, 1),
)
"""Columns: destination, user_id."""

_UNSENT = (
    " FROM events JOIN rooms ON rooms.room_nid = events.room_nid"
    " JOIN interned_users AS senders ON senders.nid = events.sender_nid"
    " WHERE events.room_nid = (SELECT room_nid FROM rooms WHERE room_id = %b)"
    " AND events.position >= %b::bigint"
    f" AND events.flags & {_NEVER_SENT} = 0 AND (events.flags & {int(EventFlags.RELAYED)} <> 0"
    " OR substr(senders.text, strpos(senders.text, ':') + 1) = %b)"
)


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a server may lack.

    Attributes:
        rooms: room ID to the position of the first event.
        users: user ID to the position of the change of their devices.
    """

    rooms: dict[str, int]
    users: dict[str, int]


async def sender_position(queries: Queries) -> int | None:
    """Read up to where all is acknowledged or noted; None: nothing was ever sent."""
    row = await queries.fetch_one("SELECT position FROM sender_position")
    return None if row is None else row[0]


async def lacking(queries: Queries) -> dict[str, Lacking]:
    """Read what every server lacks, as far as it is noted."""
    found: dict[str, Lacking] = {}
    for destination, room_id, position in await queries.fetch(
        "SELECT destination, room_id, position FROM destination_rooms JOIN rooms USING (room_nid)"
    ):
        found.setdefault(destination, Lacking({}, {})).rooms[room_id] = position
    for destination, user_id, position in await queries.fetch(
        "SELECT destination, user_id, position FROM destination_users"
    ):
        found.setdefault(destination, Lacking({}, {})).users[user_id] = position
    return found


async def rooms_with_remotes_after(queries: Queries, position: int) -> list[str]:
    """Name the rooms that have events above a position, and ever had users of other servers."""
    rows = await queries.fetch(
        "SELECT room_id FROM room_tips JOIN rooms USING (room_nid) WHERE last_position > %b::bigint"
        " AND EXISTS (SELECT 1 FROM memberships"
        " WHERE memberships.room_nid = rooms.room_nid AND NOT is_local)",
        position,
    )
    return [room_id for (room_id,) in rows]


async def lists_changed_after(queries: Queries, position: int, server_name: str) -> list[tuple[str, int]]:
    """Read (user ID, position) of the last change of device lists of our users above a position."""
    rows = await queries.fetch(
        "SELECT user_id, position FROM device_list_changes WHERE position > %b::bigint AND told_to = ''"
        " AND substr(user_id, strpos(user_id, ':') + 1) = %b",
        position, server_name,
    )  # fmt: skip
    return [(user_id, at) for user_id, at in rows]


class Unsent:
    """Reads the events of a room that are for us to send: those made here, and those relayed.

    Args:
        database: where they are.
        server_name: ours.
    """

    def __init__(self, database: Database, server_name: str) -> None:
        self._database = database
        self._events = Events(database)
        self._server_name = server_name

    async def page(self, room_id: str, from_position: int, limit: int) -> Sequence[StoredEvent]:
        """Read the oldest from a position on, with it, in their order."""
        rows = await self._database.fetch(
            f"SELECT {EVENT_COLUMNS}{_UNSENT} ORDER BY events.position LIMIT %b::bigint",
            room_id, from_position, self._server_name, limit,
        )  # fmt: skip
        return await self._events.assemble(rows)

    async def start_of_last(self, room_id: str, from_position: int, count: int) -> int | None:
        """Tell where the last `count` of them begin; None: there are no more than that."""
        row = await self._database.fetch_one(
            f"SELECT events.position{_UNSENT} ORDER BY events.position DESC OFFSET %b::bigint LIMIT 1",
            room_id, from_position, self._server_name, count,
        )  # fmt: skip
        return None if row is None else row[0] + 1
