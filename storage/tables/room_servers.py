"""Which other servers are in a room, from the memberships of their users."""

from collections.abc import Collection
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "ServerInRoom", "all_servers", "joined_servers", "members_of_server", "rooms_of_server",
    "rooms_of_users", "servers_of_room",
]  # fmt: skip

_SERVER = "substr(interned_users.text, strpos(interned_users.text, ':') + 1)"


@dataclass(slots=True)
class ServerInRoom:
    """What is known of one server in one room.

    Attributes:
        joined: how many of its users are in the room.
        position: of the last change of a membership of one of its users.
    """

    joined: int
    position: int


async def servers_of_room(queries: Queries, room_id: str) -> dict[str, ServerInRoom]:
    """Read what is known of each other server of which any user ever had a membership of a room."""
    rows = await queries.fetch(
        f"SELECT {_SERVER} AS server, count(*) FILTER (WHERE membership = 'join'), max(position)"
        " FROM memberships JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " WHERE room_nid = (SELECT room_nid FROM rooms WHERE room_id = %b) AND NOT is_local"
        " AND strpos(text, ':') > 0 GROUP BY server",
        room_id,
    )
    return {server: ServerInRoom(joined, position) for server, joined, position in rows}


async def joined_servers(queries: Queries, room_nid: int) -> set[str]:
    """Name the other servers that have users in a room."""
    rows = await queries.fetch(
        f"SELECT DISTINCT {_SERVER} FROM memberships"
        " JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " WHERE room_nid = %b::bigint AND NOT is_local AND membership = 'join'",
        room_nid,
    )
    return {server for (server,) in rows}


async def rooms_of_users(queries: Queries, user_ids: Collection[str]) -> list[tuple[str, str]]:
    """Read (user ID, room ID) of the rooms that some users are in, of those that ever had remote users."""
    rows = await queries.fetch(
        "SELECT text, room_id FROM interned_users"
        " JOIN memberships ON user_nid = nid AND membership = 'join'"
        " JOIN rooms ON rooms.room_nid = memberships.room_nid"
        " WHERE text = ANY(%b::text[]) AND EXISTS (SELECT 1 FROM memberships AS others"
        " WHERE others.room_nid = memberships.room_nid AND NOT others.is_local)",
        list(user_ids),
    )
    return [(user_id, room_id) for user_id, room_id in rows]


async def members_of_server(queries: Queries, room_nid: int, server: str) -> list[tuple[str, str, int]]:
    """Read (user ID, membership, position) of every user of a server who ever had a membership of a room."""
    rows = await queries.fetch(
        "SELECT text, membership, position FROM memberships"
        " JOIN interned_users ON interned_users.nid = memberships.user_nid"
        f" WHERE room_nid = %b::bigint AND NOT is_local AND {_SERVER} = %b",
        room_nid, server,
    )  # fmt: skip
    return [(user_id, membership, position) for user_id, membership, position in rows]


async def all_servers(queries: Queries) -> list[str]:
    """Name every other server that has users in any room; reads the memberships of all of them."""
    rows = await queries.fetch(
        f"SELECT DISTINCT {_SERVER} FROM memberships"
        " JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " WHERE NOT is_local AND membership = 'join'"
    )
    return [server for (server,) in rows]


async def rooms_of_server(queries: Queries, server: str) -> list[tuple[str, int]]:
    """Read (room ID, position of the last event) of the rooms in which a server has users."""
    rows = await queries.fetch(
        "SELECT DISTINCT room_id, last_position FROM memberships"
        " JOIN interned_users ON interned_users.nid = memberships.user_nid"
        " JOIN rooms ON rooms.room_nid = memberships.room_nid"
        " JOIN room_tips ON room_tips.room_nid = memberships.room_nid"
        f" WHERE NOT is_local AND membership = 'join' AND {_SERVER} = %b ORDER BY room_id",
        server,
    )
    return [(room_id, position) for room_id, position in rows]
