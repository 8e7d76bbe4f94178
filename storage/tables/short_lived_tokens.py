"""Table family `short_lived_tokens`: tokens that are good for one thing and not for long, by their hash."""

from storage.tables.queries import Queries

__all__ = ["add", "find", "forget_expired", "take"]


async def add(queries: Queries, token_hash: bytes, user_id: str, purpose: str, expires_ms: int) -> None:
    """Insert a token."""
    await queries.execute(
        "INSERT INTO short_lived_tokens (token_hash, user_id, purpose, expires_ms) VALUES (%s, %s, %s, %s)",
        token_hash, user_id, purpose, expires_ms,
    )  # fmt: skip


async def find(queries: Queries, token_hash: bytes, purpose: str, now_ms: int) -> str | None:
    """Whose the token is; None if it is unknown, over, or for something else."""
    row = await queries.fetch_one(
        "SELECT user_id FROM short_lived_tokens WHERE token_hash = %s AND purpose = %s AND expires_ms > %s",
        token_hash, purpose, now_ms,
    )  # fmt: skip
    return None if row is None else row[0]


async def take(queries: Queries, token_hash: bytes, purpose: str, now_ms: int) -> str | None:
    """The same, and the token is used up."""
    row = await queries.fetch_one(
        "DELETE FROM short_lived_tokens WHERE token_hash = %s AND purpose = %s AND expires_ms > %s"
        " RETURNING user_id",
        token_hash, purpose, now_ms,
    )  # fmt: skip
    return None if row is None else row[0]


async def forget_expired(queries: Queries, now_ms: int) -> None:
    """Forget the tokens whose time is over."""
    await queries.execute("DELETE FROM short_lived_tokens WHERE expires_ms <= %s", now_ms)
