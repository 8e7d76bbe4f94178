"""Table family `received_messages`: which messages to devices have come from other servers already."""

from storage.tables.queries import Queries
from storage.write import Statement

__all__ = ["RECEIVED_INSERT", "expire", "is_received"]

RECEIVED_INSERT = Statement(
    name="received_messages",
    rank=97,
    sql=(
        "INSERT INTO received_messages (position, origin, message_id)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[])"
    ),
)
"""Columns: position, origin, message ID."""


async def is_received(queries: Queries, origin: str, message_id: str) -> bool:
    """Whether a server has sent a message before."""
    row = await queries.fetch_one(
        "SELECT 1 FROM received_messages WHERE origin = %b AND message_id = %b", origin, message_id
    )
    return row is not None


async def expire(queries: Queries, before_position: int) -> int:
    """Forget what came before a position; returns how many."""
    return await queries.execute(
        "DELETE FROM received_messages WHERE position < %b::bigint", before_position
    )
