"""Table family `uia_sessions`: user-interactive authentication under way; rows are forgotten with age."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from storage.pool import Database
from storage.tables.queries import Queries

__all__ = [
    "UiaSessionRow", "add_completed", "bind", "create", "create_nonce", "delete_older_than", "find", "take",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class UiaSessionRow:
    """One session.

    Attributes:
        operation: what is being authenticated, with its user: a session is good for nothing else.
        completed: stage that was passed, and what to remember of it.
        user_id: whose operation it is; None: nobody's yet.
        stages: those that the session asks for.
        parameters_hash: keyed hash of what the operation is to do; None: not known yet.
    """

    operation: str
    completed: dict[str, str]
    user_id: str | None = None
    stages: Sequence[str] = ()
    parameters_hash: bytes | None = None


async def create(queries: Queries, session_id: str, session: UiaSessionRow, now_ms: int) -> None:
    """Insert a session."""
    await queries.execute(
        "INSERT INTO uia_sessions"
        " (session_id, operation, completed, user_id, stages, parameters_hash, created_ms)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        session_id, session.operation, orjson.dumps(session.completed), session.user_id,
        list(session.stages), session.parameters_hash, now_ms,
    )  # fmt: skip


async def create_nonce(queries: Queries, nonce: str, operation: str, now_ms: int) -> None:
    """Insert a session that has nothing to pass: to `take` it is all that can be done with it."""
    await create(queries, nonce, UiaSessionRow(operation, {}), now_ms)


async def find(queries: Queries, session_id: str, created_after_ms: int) -> UiaSessionRow | None:
    """A session; None if it is unknown or too old."""
    row = await queries.fetch_one(
        "SELECT operation, completed, user_id, stages, parameters_hash FROM uia_sessions"
        " WHERE session_id = %s AND created_ms > %s",
        session_id, created_after_ms,
    )  # fmt: skip
    return None if row is None else UiaSessionRow(row[0], orjson.loads(row[1]), *row[2:])


async def add_completed(database: Database, session_id: str, stage: str, remembered: str) -> dict[str, str]:
    """Note a stage as passed, beside what others pass at the same time.

    Returns:
        All that is completed now; empty if the session is gone.
    """
    async with database.transaction() as transaction:
        row = await transaction.fetch_one(
            "SELECT completed FROM uia_sessions WHERE session_id = %s FOR UPDATE", session_id
        )
        if row is None:
            return {}
        completed: dict[str, str] = {**orjson.loads(row[0]), stage: remembered}
        await transaction.execute(
            "UPDATE uia_sessions SET completed = %s WHERE session_id = %s",
            orjson.dumps(completed), session_id,
        )  # fmt: skip
    return completed


async def bind(queries: Queries, session_id: str, parameters_hash: bytes) -> None:
    """Say what the operation is to do, now that it is known."""
    await queries.execute(
        "UPDATE uia_sessions SET parameters_hash = %s WHERE session_id = %s", parameters_hash, session_id
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
