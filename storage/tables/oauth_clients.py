"""Table family `oauth_clients`: the clients that have registered themselves."""

from storage.tables.queries import Queries

__all__ = ["count_up_to", "delete_oldest_unused", "delete_unused_since", "find", "register", "touch"]

_IS_UNUSED = (
    "NOT EXISTS (SELECT 1 FROM oauth_sessions AS one WHERE one.client_id = oauth_clients.client_id)"
    " AND NOT EXISTS (SELECT 1 FROM oauth_codes AS one WHERE one.client_id = oauth_clients.client_id)"
    " AND NOT EXISTS"
    " (SELECT 1 FROM oauth_device_grants AS one WHERE one.client_id = oauth_clients.client_id)"
)


async def register(queries: Queries, client_id: str, metadata: bytes, now_ms: int) -> None:
    """Insert a client, or say of one that is there that it is used."""
    await queries.execute(
        "INSERT INTO oauth_clients (client_id, metadata, created_ms, last_used_ms) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (client_id) DO UPDATE SET last_used_ms = excluded.last_used_ms",
        client_id, metadata, now_ms, now_ms,
    )  # fmt: skip


async def find(queries: Queries, client_id: str) -> bytes | None:
    """What a client said of itself, as JSON."""
    row = await queries.fetch_one("SELECT metadata FROM oauth_clients WHERE client_id = %s", client_id)
    return None if row is None else row[0]


async def touch(queries: Queries, client_id: str, now_ms: int) -> bool:
    """Say of a client that it is used; False if it is not there."""
    touched = await queries.execute(
        "UPDATE oauth_clients SET last_used_ms = %s WHERE client_id = %s", now_ms, client_id
    )
    return touched == 1


async def count_up_to(queries: Queries, most: int) -> int:
    """How many clients there are; no more than `most` are counted."""
    row = await queries.fetch_one(
        "SELECT count(*) FROM (SELECT 1 FROM oauth_clients LIMIT %s) AS counted", most
    )
    return 0 if row is None else row[0]


async def delete_unused_since(queries: Queries, before_ms: int) -> int:
    """Forget clients without a session that nobody has used since; returns how many."""
    return await queries.execute(
        f"DELETE FROM oauth_clients WHERE last_used_ms < %s AND {_IS_UNUSED}", before_ms
    )


async def delete_oldest_unused(queries: Queries) -> bool:
    """Forget the client without a session that was used longest ago; False if all have one."""
    deleted = await queries.execute(
        "DELETE FROM oauth_clients WHERE client_id = (SELECT client_id FROM oauth_clients"
        f" WHERE {_IS_UNUSED} ORDER BY last_used_ms LIMIT 1)"
    )
    return deleted == 1
