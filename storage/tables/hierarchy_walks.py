"""Walks over spaces that will go on: a few for each user, and none for long."""

from storage.pool import Database

__all__ = ["LIFETIME_MS", "WALKS_OF_USER_MAX", "HierarchyWalks"]

LIFETIME_MS = 3_600_000
WALKS_OF_USER_MAX = 20
_EXPIRED_DELETED_MAX = 100


class HierarchyWalks:
    """Keeps walks.

    Args:
        database: where they are. No sync shows them, so they need not pass the journal.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, user_nid: int, token: str, walk: bytes, now_ms: int) -> None:
        """Keep a walk under a new token; the user's oldest beyond the bound, and expired ones, are let go."""
        async with self._database.transaction() as transaction:
            await transaction.execute(
                "INSERT INTO hierarchy_walks (user_nid, created_ms, token, walk)"
                " VALUES (%b::bigint, %b::bigint, %b, %b)",
                user_nid, now_ms, token, walk,
            )  # fmt: skip
            await transaction.execute(
                "DELETE FROM hierarchy_walks WHERE user_nid = %b::bigint AND token IN (SELECT token"
                " FROM hierarchy_walks WHERE user_nid = %b::bigint ORDER BY created_ms DESC, token"
                " OFFSET %b::integer)",
                user_nid, user_nid, WALKS_OF_USER_MAX,
            )  # fmt: skip
        # Apart: rows of other users, which others may be deleting just now.
        await self._database.execute(
            "DELETE FROM hierarchy_walks WHERE (user_nid, token) IN (SELECT user_nid, token"
            " FROM hierarchy_walks WHERE created_ms < %b::bigint ORDER BY created_ms LIMIT %b::integer"
            " FOR UPDATE SKIP LOCKED)",
            now_ms - LIFETIME_MS, _EXPIRED_DELETED_MAX,
        )  # fmt: skip

    async def find(self, user_nid: int, token: str, now_ms: int) -> bytes | None:
        """Find a walk of a user; None if there is none, or it has expired."""
        row = await self._database.fetch_one(
            "SELECT walk FROM hierarchy_walks WHERE user_nid = %b::bigint AND token = %b"
            " AND created_ms >= %b::bigint",
            user_nid, token, now_ms - LIFETIME_MS,
        )  # fmt: skip
        return None if row is None else bytes(row[0])
