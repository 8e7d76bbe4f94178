"""Whether the policy servers that rooms name take part in them."""

from storage.tables.queries import Queries

__all__ = ["is_joined"]


async def is_joined(queries: Queries, room_nid: int, server: str) -> bool:
    """Say whether a user of a server is in a room."""
    row = await queries.fetch_one(
        "SELECT 1 FROM memberships JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " WHERE room_nid = %b::bigint AND membership = 'join'"
        " AND substr(text, strpos(text, ':') + 1) = %b LIMIT 1",
        room_nid, server,
    )  # fmt: skip
    return row is not None
