"""Table family `browser_sessions`: browsers that are signed in on the web pages of this server."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["BrowserSessionRow", "add", "confirm", "delete", "delete_of_user", "delete_older_than", "find"]


@dataclass(frozen=True, slots=True)
class BrowserSessionRow:
    """A browser that is signed in.

    Attributes:
        user_id: as whom.
        confirmed_ms: when the password was given last.
        is_suspended: may do less than others.
    """

    user_id: str
    confirmed_ms: int
    is_suspended: bool


async def add(queries: Queries, token_hash: bytes, user_id: str, now_ms: int) -> None:
    """Insert a session."""
    await queries.execute(
        "INSERT INTO browser_sessions (token_hash, user_id, created_ms, confirmed_ms)"
        " VALUES (%s, %s, %s, %s)",
        token_hash, user_id, now_ms, now_ms,
    )  # fmt: skip


async def find(queries: Queries, token_hash: bytes, created_after_ms: int) -> BrowserSessionRow | None:
    """The session, unless it is too old, or the account is locked or deactivated."""
    row = await queries.fetch_one(
        "SELECT user_id, confirmed_ms, is_suspended"
        " FROM browser_sessions AS one JOIN accounts USING (user_id)"
        " WHERE token_hash = %s AND one.created_ms > %s AND NOT is_locked AND deactivated_ms IS NULL",
        token_hash, created_after_ms,
    )  # fmt: skip
    return None if row is None else BrowserSessionRow(*row)


async def confirm(queries: Queries, token_hash: bytes, now_ms: int) -> None:
    """Say that the password was given just now."""
    await queries.execute(
        "UPDATE browser_sessions SET confirmed_ms = %s WHERE token_hash = %s", now_ms, token_hash
    )


async def delete(queries: Queries, token_hash: bytes) -> None:
    """End a session."""
    await queries.execute("DELETE FROM browser_sessions WHERE token_hash = %s", token_hash)


async def delete_of_user(queries: Queries, user_id: str) -> None:
    """End all sessions of a user, and forget what was allowed in them and no client has fetched yet."""
    await queries.execute("DELETE FROM browser_sessions WHERE user_id = %s", user_id)
    await queries.execute("DELETE FROM oauth_codes WHERE user_id = %s AND session_id IS NULL", user_id)
    await queries.execute(
        "DELETE FROM oauth_device_grants WHERE user_id = %s AND session_id IS NULL", user_id
    )


async def delete_older_than(queries: Queries, created_before_ms: int) -> int:
    """Forget old sessions; returns how many."""
    return await queries.execute("DELETE FROM browser_sessions WHERE created_ms < %s", created_before_ms)
