"""The transaction IDs of clients, each with the event that it made."""

from collections.abc import Sequence

from storage.pool import Database
from storage.tables import delayed_events
from storage.write import Statement

__all__ = ["TRANSACTION_INSERT", "Transactions", "transaction_id_in"]

TRANSACTION_INSERT = Statement(
    name="transactions",
    rank=80,
    sql=(
        "INSERT INTO transactions (session_id, key, event_id, position)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::bigint[])"
    ),
)
"""Columns: session_id, key (`room_id|type|transaction ID`), event_id, position."""


def transaction_id_in(key: str, room_id: str, event_type: str) -> str:
    """The client's transaction ID in the key of an event: what is redacted may stand between them."""
    return key.removeprefix(f"{room_id}|{event_type}").partition("|")[2]


class Transactions:
    """Finds what a session has sent already.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, session_id: int, key: str) -> str | None:
        """Return the ID of the event that the transaction made, if it has made one."""
        row = await self._database.fetch_one(
            "SELECT event_id FROM transactions WHERE session_id = %b::bigint AND key = %b", session_id, key
        )
        return row[0] if row is not None else None

    async def of_events(self, session_id: int, event_ids: list[str], positions: list[int]) -> dict[str, str]:
        """Tell which of these events the session sent: event ID to key. The positions narrow the search."""
        if not positions:
            return {}
        rows = await self._database.fetch(
            "SELECT event_id, key FROM transactions WHERE session_id = %b::bigint"
            " AND position BETWEEN %b::bigint AND %b::bigint AND event_id = ANY(%b::text[])",
            session_id, min(positions), max(positions), event_ids,
        )  # fmt: skip
        return dict(rows)

    async def delay_ids(self, session_id: int, event_ids: Sequence[str]) -> dict[str, str]:
        """Tell which of these events were delayed ones that the session scheduled: event ID to delay ID."""
        return await delayed_events.delay_ids(self._database, session_id, event_ids) if event_ids else {}

    async def latest(self, session_id: int, limit: int) -> list[tuple[str, str]]:
        """Read what a session sent last, oldest first: key and event ID."""
        rows = await self._database.fetch(
            "SELECT key, event_id FROM transactions WHERE session_id = %b::bigint"
            " ORDER BY position DESC LIMIT %b::bigint",
            session_id, limit,
        )  # fmt: skip
        return [(key, event_id) for key, event_id in reversed(rows)]

    async def expire(self, before_position: int) -> int:
        """Forget what was sent before a position; returns how many."""
        return await self._database.execute(
            "DELETE FROM transactions WHERE position < %b::bigint", before_position
        )
