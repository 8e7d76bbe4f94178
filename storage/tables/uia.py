"""Table family `uia_sessions`: user-interactive authentication under way; rows are forgotten with age."""

from storage.tables.queries import Queries

__all__ = ["create", "delete_older_than", "find", "set_completed", "take"]


async def create(queries: Queries, session_id: str, operation: str, completed: bytes, now_ms: int) -> None:
    """Insert a session."""
    await queries.execute(
        "INSERT INTO uia_sessions (session_id, operation, completed, created_ms) VALUES (%s, %s, %s, %s)",
        session_id, operation, completed, now_ms,
    )  # fmt: skip


async def find(queries: Queries, session_id: str, operation: str, created_after_ms: int) -> bytes | None:
    """What a session has completed, as JSON; None if it is unknown, too old or for something else."""
    row = await queries.fetch_one(
        "SELECT completed FROM uia_sessions WHERE session_id = %s AND operation = %s AND created_ms > %s",
        session_id, operation, created_after_ms,
    )  # fmt: skip
    return None if row is None else row[0]


async def set_completed(queries: Queries, session_id: str, completed: bytes) -> None:
    """Replace what a session has completed."""
    await queries.execute(
        "UPDATE uia_sessions SET completed = %s WHERE session_id = %s", completed, session_id
    )


async def take(queries: Queries, session_id: str, operation: str, created_after_ms: int) -> bool:
    """Delete a session; whether it was there, for this operation and not too old."""
    row = await queries.fetch_one(
        "DELETE FROM uia_sessions WHERE session_id = %s AND operation = %s RETURNING created_ms",
        session_id, operation,
    )  # fmt: skip
    return row is not None and row[0] > created_after_ms


async def delete_older_than(queries: Queries, created_before_ms: int) -> int:
    """Forget old sessions; returns how many."""
    return await queries.execute("DELETE FROM uia_sessions WHERE created_ms < %s", created_before_ms)
