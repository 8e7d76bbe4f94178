"""In which of some rooms a user is, and which rooms two users are both in."""

from collections.abc import Sequence

from storage.pool import Database

__all__ = ["SharedRooms"]

_BOTH = (
    "FROM memberships AS one JOIN memberships AS other USING (room_nid) JOIN rooms USING (room_nid)"
    " WHERE one.user_nid = %b::bigint AND one.membership = 'join'"
    " AND other.user_nid = %b::bigint AND other.membership = 'join'"
)


class SharedRooms:
    """Reads memberships across rooms.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def memberships(self, user_nid: int, room_ids: Sequence[str]) -> dict[str, str]:
        """Read a user's membership of those of these rooms where they have any, by room ID."""
        rows = await self._database.fetch(
            "SELECT room_id, membership FROM rooms JOIN memberships USING (room_nid)"
            " WHERE room_id = ANY(%b::text[]) AND user_nid = %b::bigint",
            list(room_ids), user_nid,
        )  # fmt: skip
        return dict(rows)

    async def memberships_of_server(self, server: str, room_ids: Sequence[str]) -> dict[str, str]:
        """Read in which of these rooms a user of a server is, or else is invited or knocks: by room ID."""
        rows = await self._database.fetch(
            "SELECT room_id, max(CASE membership WHEN 'join' THEN 3 WHEN 'invite' THEN 2 ELSE 1 END)"
            " FROM rooms JOIN memberships USING (room_nid) JOIN interned_users ON nid = user_nid"
            " WHERE room_id = ANY(%b::text[]) AND membership IN ('join', 'invite', 'knock')"
            " AND substr(text, strpos(text, ':') + 1) = %b GROUP BY room_id",
            list(room_ids), server,
        )  # fmt: skip
        return {room_id: ("knock", "invite", "join")[best - 1] for room_id, best in rows}

    async def joined_by_both(
        self, user_nid: int, other_nid: int, *, after_room_nid: int, limit: int
    ) -> list[tuple[int, str]]:
        """Read numbers and IDs of the rooms that two users are both in, above a number, in their order."""
        rows = await self._database.fetch(
            f"SELECT room_nid, room_id {_BOTH} AND room_nid > %b::bigint ORDER BY room_nid LIMIT %b::bigint",
            user_nid, other_nid, after_room_nid, limit,
        )  # fmt: skip
        return [(room_nid, room_id) for room_nid, room_id in rows]

    async def count_joined_by_both(self, user_nid: int, other_nid: int) -> int:
        """Count the rooms that two users are both in."""
        rows = await self._database.fetch(f"SELECT count(*) {_BOTH}", user_nid, other_nid)
        count: int = rows[0][0]
        return count
