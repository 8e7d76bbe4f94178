"""Table family `device_sessions`: logins and their refresh tokens. Access tokens are not stored."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "RefreshRow", "SessionRow", "add_refresh_token", "find_refresh_token", "find_session", "next_generation",
    "open_session", "revoke_generations_below",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One login that has not been ended, with what a requester needs.

    Attributes:
        user_id: whose.
        device_id: on which device.
        generation_min: tokens of generations below this are revoked.
        is_admin: whether the account may use the admin API.
        is_guest: whether it is a guest's.
        is_suspended: whether it may read and leave only.
        is_locked: whether it may only log out.
    """

    user_id: str
    device_id: str
    generation_min: int
    is_admin: bool
    is_guest: bool
    is_suspended: bool
    is_locked: bool


@dataclass(frozen=True, slots=True)
class RefreshRow:
    """A refresh token that may be used.

    Attributes:
        session_id: the login that it belongs to.
        generation: of the tokens that it was issued with.
        user_id: whose.
        device_id: on which device.
    """

    session_id: int
    generation: int
    user_id: str
    device_id: str


async def open_session(queries: Queries, user_id: str, device_id: str, now_ms: int) -> tuple[int, list[int]]:
    """Start the login of a device, ending the one it had.

    Returns:
        The new session and the sessions that ended.
    """
    ended = await queries.fetch(
        "DELETE FROM device_sessions WHERE user_id = %s AND device_id = %s RETURNING session_id",
        user_id, device_id,
    )  # fmt: skip
    row = await queries.fetch_one(
        "INSERT INTO device_sessions (user_id, device_id, created_ms)"
        " VALUES (%s, %s, %s) RETURNING session_id",
        user_id, device_id, now_ms,
    )  # fmt: skip
    assert row is not None, "INSERT … RETURNING yields its row"
    return row[0], [session_id for (session_id,) in ended]


async def find_session(queries: Queries, session_id: int) -> SessionRow | None:
    """The session, unless it was ended."""
    row = await queries.fetch_one(
        "SELECT user_id, device_id, generation_min, is_admin, is_guest, is_suspended, is_locked"
        " FROM device_sessions JOIN accounts USING (user_id) WHERE session_id = %s",
        session_id,
    )
    return None if row is None else SessionRow(*row)


async def next_generation(queries: Queries, session_id: int) -> int | None:
    """Count the session's generations one up; None if it was ended."""
    row = await queries.fetch_one(
        "UPDATE device_sessions SET generation_last = generation_last + 1 WHERE session_id = %s"
        " RETURNING generation_last",
        session_id,
    )
    return None if row is None else row[0]


async def revoke_generations_below(queries: Queries, session_id: int, generation: int) -> None:
    """Revoke all tokens of the session that are older than `generation`."""
    await queries.execute(
        "WITH old AS (DELETE FROM refresh_tokens WHERE session_id = %s AND generation < %s)"
        " UPDATE device_sessions SET generation_min = %s WHERE session_id = %s AND generation_min < %s",
        session_id, generation, generation, session_id, generation,
    )  # fmt: skip


async def add_refresh_token(queries: Queries, token_hash: bytes, session_id: int, generation: int) -> None:
    """Insert a refresh token by its hash."""
    await queries.execute(
        "INSERT INTO refresh_tokens (token_hash, session_id, generation) VALUES (%s, %s, %s)",
        token_hash, session_id, generation,
    )  # fmt: skip


async def find_refresh_token(queries: Queries, token_hash: bytes) -> RefreshRow | None:
    """The refresh token with that hash, unless it was revoked; its session is locked until the commit."""
    row = await queries.fetch_one(
        "SELECT session_id, generation, user_id, device_id FROM refresh_tokens"
        " JOIN device_sessions USING (session_id) WHERE token_hash = %s FOR UPDATE OF device_sessions",
        token_hash,
    )
    return None if row is None else RefreshRow(*row)
