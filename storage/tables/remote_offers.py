"""Rooms that are not here: what users of ours are to them, and what they were told of them."""

from collections.abc import Collection, Sequence

from homeserver.core.event.pdu import Event
from storage.tables.events import EVENT_INSERT, EventFlags, EventNumbers
from storage.tables.memberships import MEMBERSHIP_UPSERT
from storage.tables.queries import Queries
from storage.tables.state import STATE_CHANGE_INSERT
from storage.write import Statement, Write

__all__ = ["add_outside_member", "is_resident", "last_told_of", "stripped_of"]

_NOT_FORGOTTEN, _LOCAL = False, True

_UPSERT = Statement(
    name="remote_offers",
    rank=63,
    sql=(
        "INSERT INTO remote_offers (room_nid, user_nid, position, stripped)"
        " SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bytea[])"
        " ON CONFLICT (room_nid, user_nid) DO UPDATE SET position = excluded.position,"
        " stripped = excluded.stripped"
    ),
    keys=(0, 1),
)
_DELETE = Statement(
    name="remote_offers_deleted",
    rank=64,
    sql=(
        "DELETE FROM remote_offers USING unnest(%b::bigint[], %b::bigint[]) AS gone (room_nid, user_nid)"
        " WHERE remote_offers.room_nid = gone.room_nid AND remote_offers.user_nid = gone.user_nid"
    ),
    keys=(0, 1),
)
_STRIPPED = (
    "SELECT asked.number, offer.stripped FROM unnest(%b::text[], %b::text[], %b::bigint[])"
    " WITH ORDINALITY AS asked (room_id, user_id, position, number)"
    " JOIN rooms ON rooms.room_id = asked.room_id"
    " JOIN interned_users ON interned_users.text = asked.user_id"
    " JOIN remote_offers AS offer ON offer.room_nid = rooms.room_nid"
    " AND offer.user_nid = interned_users.nid AND offer.position = asked.position"
)


def add_outside_member(
    write: Write, event: Event, *, room_nid: int, numbers: EventNumbers, position: int, membership: str,
    stripped: bytes | None,
) -> None:  # fmt: skip
    """Add to a write what a user of ours is to a room that is not here.

    The event has no place in the room's graph, and nothing has shown that the room allows it. So it cannot be
    found by its ID: should the room come here later, it is taken in and checked like any other.

    Args:
        write: takes the rows.
        event: the member event.
        room_nid: the room.
        numbers: of the strings of the event.
        position: when it came.
        membership: what it says.
        stripped: what the user was told of the room: a JSON array; None if they have no business there now.
    """
    assert numbers.state_key_nid is not None
    assert numbers.member_nid is not None
    write.add(
        EVENT_INSERT, position, room_nid, numbers.sender_nid, numbers.state_key_nid, event.depth, None,
        numbers.type_nid, 0, int(EventFlags.OUTLIER), event.event_id, "{}", event.canonical,
    )  # fmt: skip
    write.add(STATE_CHANGE_INSERT, room_nid, position, numbers.type_nid, numbers.state_key_nid, None)
    write.add(
        MEMBERSHIP_UPSERT, room_nid, numbers.member_nid, membership, event.event_id, position,
        _NOT_FORGOTTEN, _LOCAL,
    )  # fmt: skip
    if stripped is None:
        write.add(_DELETE, room_nid, numbers.member_nid)
    else:
        write.add(_UPSERT, room_nid, numbers.member_nid, position, stripped)


async def is_resident(queries: Queries, room_id: str) -> bool | None:
    """Say whether this server takes part in a room; None if the room is not known here.

    It does if a user of ours is in it; or nobody is, so that nobody knows better.
    """
    row = await queries.fetch_one(
        "SELECT counts.joined_local > 0 OR counts.joined = 0 FROM rooms"
        " JOIN room_tips ON room_tips.room_nid = rooms.room_nid"
        " JOIN room_counts AS counts ON counts.room_nid = rooms.room_nid WHERE room_id = %b",
        room_id,
    )
    return None if row is None else bool(row[0])


async def stripped_of(
    queries: Queries, asked: Sequence[tuple[str, str, int]]
) -> list[bytes | None]:
    """Read what users were told of rooms that are not here, by room ID, user ID and position of the event.

    Of rooms that are here there is nothing.
    """
    rows = await queries.fetch(
        _STRIPPED, [one[0] for one in asked], [one[1] for one in asked], [one[2] for one in asked]
    )
    found = dict(rows)
    return [found.get(number) for number in range(1, len(asked) + 1)]


async def last_told_of(queries: Queries, room_ids: Collection[str]) -> dict[str, bytes]:
    """Read what users were told last of rooms that are not here."""
    rows = await queries.fetch(
        "SELECT DISTINCT ON (rooms.room_id) rooms.room_id, stripped FROM remote_offers"
        " JOIN rooms ON rooms.room_nid = remote_offers.room_nid WHERE rooms.room_id = ANY(%b::text[])"
        " ORDER BY rooms.room_id, remote_offers.position DESC",
        list(room_ids),
    )
    return dict(rows)
