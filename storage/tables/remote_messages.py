"""Table family `remote_messages`: messages for devices of other servers, until they are acknowledged."""

from storage.tables.queries import Queries
from storage.write import Statement

__all__ = ["MESSAGE_DELETE", "MESSAGE_INSERT", "counts", "oldest"]

MESSAGE_INSERT = Statement(
    name="remote_messages",
    rank=96,
    sql=(
        "INSERT INTO remote_messages (position, destination, edu)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bytea[])"
    ),
)
"""Columns: position, destination, the EDU."""

MESSAGE_DELETE = Statement(
    name="remote_messages_done",
    rank=153,
    sql=(
        "DELETE FROM remote_messages USING unnest(%b::text[], %b::bigint[]) AS done (destination, position)"
        " WHERE remote_messages.destination = done.destination AND remote_messages.position = done.position"
    ),
)
"""Columns: destination, position."""


async def counts(queries: Queries) -> dict[str, int]:
    """Tell how many wait for each server."""
    rows = await queries.fetch("SELECT destination, count(*) FROM remote_messages GROUP BY destination")
    return dict(rows)


async def oldest(queries: Queries, destination: str, *, limit: int) -> list[tuple[int, bytes]]:
    """Read (position, EDU) of the oldest for a server, in their order."""
    rows = await queries.fetch(
        "SELECT position, edu FROM remote_messages WHERE destination = %b ORDER BY position LIMIT %b::bigint",
        destination, limit,
    )  # fmt: skip
    return [(position, bytes(edu)) for position, edu in rows]
