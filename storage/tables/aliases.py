"""Room aliases of this server."""

from dataclasses import dataclass

from storage.pool import Database
from storage.write import Statement

__all__ = ["ALIAS_DELETE", "ALIAS_INSERT", "AliasRow", "Aliases"]

ALIAS_INSERT = Statement(
    name="aliases",
    rank=70,
    sql=(
        "INSERT INTO aliases (alias, room_nid, creator_nid, created_ms)"
        " SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::bigint[])"
    ),
)
"""Columns: alias, room_nid, creator_nid, created_ms. Look first: an alias that is taken fails the write."""

ALIAS_DELETE = Statement(
    name="aliases_deleted",
    rank=71,
    sql="DELETE FROM aliases WHERE alias IN (SELECT unnest(%b::text[]))",
    keys=(0,),
)
"""Columns: alias."""


@dataclass(frozen=True, slots=True)
class AliasRow:
    """An alias.

    Attributes:
        alias: in full.
        room_nid: number of its room.
        room_id: ID of its room.
        creator_id: user ID of who made it.
    """

    alias: str
    room_nid: int
    room_id: str
    creator_id: str


_SELECT = (
    "SELECT alias, aliases.room_nid, room_id, interned_users.text FROM aliases"
    " JOIN rooms ON rooms.room_nid = aliases.room_nid"
    " JOIN interned_users ON interned_users.nid = aliases.creator_nid"
)


class Aliases:
    """Reads and changes aliases. No sync shows them, so they need not pass the journal.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, alias: str) -> AliasRow | None:
        """Find an alias."""
        row = await self._database.fetch_one(f"{_SELECT} WHERE alias = %b", alias)
        return AliasRow(*row) if row is not None else None

    async def of_room(self, room_nid: int) -> list[AliasRow]:
        """Read a room's aliases."""
        rows = await self._database.fetch(
            f"{_SELECT} WHERE aliases.room_nid = %b::bigint ORDER BY alias", room_nid
        )
        return [AliasRow(*row) for row in rows]

    async def insert(self, alias: str, room_nid: int, creator_nid: int, created_ms: int) -> bool:
        """Make an alias; false if it is taken."""
        count = await self._database.execute(
            "INSERT INTO aliases (alias, room_nid, creator_nid, created_ms)"
            " VALUES (%b, %b::bigint, %b::bigint, %b::bigint) ON CONFLICT DO NOTHING",
            alias, room_nid, creator_nid, created_ms,
        )  # fmt: skip
        return count == 1

    async def delete(self, alias: str) -> bool:
        """Remove an alias; false if there was none."""
        return await self._database.execute("DELETE FROM aliases WHERE alias = %b", alias) == 1

    async def move(self, from_room_nid: int, to_room_nid: int) -> None:
        """Let every alias of a room stand for another one from now on."""
        await self._database.execute(
            "UPDATE aliases SET room_nid = %b::bigint WHERE room_nid = %b::bigint", to_room_nid, from_room_nid
        )
