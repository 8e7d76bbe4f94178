"""Which guests are in which rooms."""

from storage.tables.queries import Queries

__all__ = ["in_room", "rooms_with_any"]

_JOINED_GUESTS = (
    " FROM accounts JOIN interned_users ON text = user_id JOIN memberships ON user_nid = nid"
    " JOIN rooms USING (room_nid) WHERE is_guest AND membership = 'join'"
)


async def in_room(queries: Queries, room_id: str) -> list[str]:
    """The guests of this server who are in a room."""
    rows = await queries.fetch(f"SELECT user_id{_JOINED_GUESTS} AND room_id = %s ORDER BY 1", room_id)
    return [user_id for (user_id,) in rows]


async def rooms_with_any(queries: Queries) -> list[str]:
    """The rooms that guests of this server are in."""
    rows = await queries.fetch(f"SELECT DISTINCT room_id{_JOINED_GUESTS} ORDER BY 1")
    return [room_id for (room_id,) in rows]
