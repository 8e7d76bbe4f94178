"""Table family `oauth_sessions`: which device sessions belong to which client."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["OAuthSessionRow", "add", "clients_of_user", "device_of", "exists", "is_usable", "lock"]


@dataclass(frozen=True, slots=True)
class OAuthSessionRow:
    """A device session that a client got by a grant.

    Attributes:
        client_id: whose.
        scope: that was granted.
        user_id: who granted it.
        device_id: the device.
        generation_min: tokens of generations below this are revoked.
    """

    client_id: str
    scope: str
    user_id: str
    device_id: str
    generation_min: int


async def add(queries: Queries, session_id: int, client_id: str, scope: str) -> None:
    """Say that a device session belongs to a client."""
    await queries.execute(
        "INSERT INTO oauth_sessions (session_id, client_id, scope) VALUES (%s, %s, %s)",
        session_id, client_id, scope,
    )  # fmt: skip


async def lock(queries: Queries, session_id: int) -> OAuthSessionRow | None:
    """The session, locked until the commit; None if it has ended or belongs to no client."""
    row = await queries.fetch_one(
        "SELECT client_id, scope, user_id, device_id, generation_min FROM oauth_sessions"
        " JOIN device_sessions USING (session_id) WHERE session_id = %s FOR UPDATE OF device_sessions",
        session_id,
    )
    return None if row is None else OAuthSessionRow(*row)


async def device_of(queries: Queries, session_id: int) -> tuple[str, str] | None:
    """User and device of any device session, if it has not ended."""
    row = await queries.fetch_one(
        "SELECT user_id, device_id FROM device_sessions WHERE session_id = %s", session_id
    )
    return None if row is None else (row[0], row[1])


async def is_usable(queries: Queries, user_id: str) -> bool:
    """Whether the account may get sessions: it stays neither locked nor deactivated until the commit."""
    row = await queries.fetch_one(
        "SELECT 1 FROM accounts WHERE user_id = %s AND NOT is_locked AND deactivated_ms IS NULL FOR SHARE",
        user_id,
    )
    return row is not None


async def exists(queries: Queries, session_id: int) -> bool:
    """Whether a device session belongs to a client."""
    sql = "SELECT 1 FROM oauth_sessions WHERE session_id = %s"
    return await queries.fetch_one(sql, session_id) is not None


async def clients_of_user(queries: Queries, user_id: str) -> dict[str, bytes]:
    """What the client of each device said of itself, as JSON, by device ID."""
    rows = await queries.fetch(
        "SELECT device_id, metadata FROM device_sessions JOIN oauth_sessions USING (session_id)"
        " JOIN oauth_clients USING (client_id) WHERE user_id = %s",
        user_id,
    )
    return dict(rows)
