"""Table family `pending_joins`: joins of rooms of other servers that have not ended."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["ATTEMPTS_MAX", "PendingJoin", "begin", "end", "take_up"]

ATTEMPTS_MAX = 3
"""Lives of the server that try: one that ends it each time must not do so for ever."""


@dataclass(frozen=True, slots=True)
class PendingJoin:
    """A join that has not ended.

    Attributes:
        room_id: the room.
        user_id: who joins it.
        servers: that may be in it, the best first.
        content: of the member event, as JSON.
    """

    room_id: str
    user_id: str
    servers: Sequence[str]
    content: bytes


async def begin(queries: Queries, join: PendingJoin) -> None:
    """Take note of a join."""
    await queries.execute(
        "INSERT INTO pending_joins (room_id, user_id, servers, content, attempts) VALUES (%b, %b, %b, %b, 1)"
        " ON CONFLICT (room_id, user_id) DO UPDATE SET servers = excluded.servers,"
        " content = excluded.content",
        join.room_id, join.user_id, list(join.servers), join.content,
    )  # fmt: skip


async def end(queries: Queries, room_id: str, user_id: str) -> None:
    """Take note that a join has ended, well or not."""
    await queries.execute("DELETE FROM pending_joins WHERE room_id = %b AND user_id = %b", room_id, user_id)


async def take_up(queries: Queries) -> list[PendingJoin]:
    """Tell which joins the life of the server before this one has left; those tried too often are dropped."""
    await queries.execute("DELETE FROM pending_joins WHERE attempts >= %b", ATTEMPTS_MAX)
    rows = await queries.fetch(
        "UPDATE pending_joins SET attempts = attempts + 1 RETURNING room_id, user_id, servers, content"
    )
    return [PendingJoin(row[0], row[1], row[2], bytes(row[3])) for row in rows]
