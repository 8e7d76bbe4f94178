"""Table family `filters`: the filters that clients have stored; the same filter twice is one row."""

import hashlib

from storage.tables.queries import Queries

__all__ = ["create", "find"]


async def create(queries: Queries, user_id: str, content: bytes) -> int:
    """Store a filter; returns its number."""
    row = await queries.fetch_one(
        "INSERT INTO filters (user_id, content_hash, content) VALUES (%s, %s, %s)"
        # An update that changes nothing, because DO NOTHING would not return the row that is there.
        " ON CONFLICT (user_id, content_hash) DO UPDATE SET content = excluded.content RETURNING filter_id",
        user_id, hashlib.sha256(content).digest(), content,
    )  # fmt: skip
    assert row is not None, "INSERT … RETURNING yields its row"
    filter_id: int = row[0]
    return filter_id


async def find(queries: Queries, user_id: str, filter_id: int) -> bytes | None:
    """A filter of that user, if there."""
    row = await queries.fetch_one(
        "SELECT content FROM filters WHERE user_id = %s AND filter_id = %s", user_id, filter_id
    )
    return None if row is None else row[0]
