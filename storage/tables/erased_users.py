"""Users who asked for their erasure: what they said stays with those who were there, and nobody else sees it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
"""

from collections.abc import Iterable

from storage.pool import Database

__all__ = ["ErasedUsers"]


class ErasedUsers:
    """Knows who was erased: all of them in memory, since they are few and each page of messages asks.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._user_ids: set[str] | None = None

    async def among(self, user_ids: Iterable[str]) -> frozenset[str]:
        """Tell which of some users were erased."""
        erased = self._user_ids
        if erased is None:
            rows = await self._database.fetch("SELECT user_id FROM erased_users")
            erased = self._user_ids = {user_id for (user_id,) in rows}
        return frozenset(erased.intersection(user_ids)) if erased else frozenset()

    async def add(self, user_id: str, erased_ms: int) -> None:
        """Erase a user; there is no way back."""
        await self._database.execute(
            "INSERT INTO erased_users (user_id, erased_ms) VALUES (%b, %b::bigint) ON CONFLICT DO NOTHING",
            user_id, erased_ms,
        )  # fmt: skip
        if self._user_ids is not None:
            self._user_ids.add(user_id)
