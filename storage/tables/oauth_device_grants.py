"""Table family `oauth_device_grants`: clients without a browser that wait for a user's decision."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "DeviceGrantRow", "add", "count_up_to", "decide", "delete_older_than", "find_undecided", "lock",
    "set_poll", "set_session",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceGrantRow:
    """One client that waits.

    Attributes:
        user_code: what people type.
        client_id: who waits.
        scope: for what.
        created_ms: since when.
        polled_ms: when it asked last.
        interval_ms: how long it has to wait in between.
        user_id: who has decided, if somebody has.
        is_allowed: what they decided.
        session_id: that was opened for it, if one was.
    """

    user_code: str
    client_id: str
    scope: str
    created_ms: int
    polled_ms: int
    interval_ms: int
    user_id: str | None = None
    is_allowed: bool = False
    session_id: int | None = None


_COLUMNS = "user_code, client_id, scope, created_ms, polled_ms, interval_ms, user_id, is_allowed, session_id"


async def add(queries: Queries, device_code_hash: bytes, row: DeviceGrantRow) -> bool:
    """Insert a client that waits; False if its user code is taken."""
    inserted = await queries.execute(
        "INSERT INTO oauth_device_grants (device_code_hash, user_code, client_id, scope, created_ms,"
        " polled_ms, interval_ms) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        device_code_hash, row.user_code, row.client_id, row.scope, row.created_ms, row.polled_ms,
        row.interval_ms,
    )  # fmt: skip
    return inserted == 1


async def count_up_to(queries: Queries, most: int) -> int:
    """How many rows there are; no more than `most` are counted."""
    row = await queries.fetch_one(
        "SELECT count(*) FROM (SELECT 1 FROM oauth_device_grants LIMIT %s) AS counted", most
    )
    return 0 if row is None else row[0]


async def find_undecided(queries: Queries, user_code: str, created_after_ms: int) -> DeviceGrantRow | None:
    """Who waits for this code, if nobody has decided yet and it is not too late."""
    row = await queries.fetch_one(
        f"SELECT {_COLUMNS} FROM oauth_device_grants"
        " WHERE user_code = %s AND created_ms > %s AND user_id IS NULL",
        user_code, created_after_ms,
    )  # fmt: skip
    return None if row is None else DeviceGrantRow(*row)


async def decide(
    queries: Queries, user_code: str, *, user_id: str, is_allowed: bool, created_after_ms: int
) -> bool:
    """Store a decision; False if somebody has decided before or it is too late."""
    decided = await queries.execute(
        "UPDATE oauth_device_grants SET user_id = %s, is_allowed = %s"
        " WHERE user_code = %s AND created_ms > %s AND user_id IS NULL",
        user_id, is_allowed, user_code, created_after_ms,
    )  # fmt: skip
    return decided == 1


async def lock(queries: Queries, device_code_hash: bytes) -> DeviceGrantRow | None:
    """The row of a device code, locked until the commit."""
    row = await queries.fetch_one(
        f"SELECT {_COLUMNS} FROM oauth_device_grants WHERE device_code_hash = %s FOR UPDATE",
        device_code_hash,
    )
    return None if row is None else DeviceGrantRow(*row)


async def set_poll(queries: Queries, device_code_hash: bytes, polled_ms: int, interval_ms: int) -> None:
    """Say when the client asked, and how long it has to wait now."""
    await queries.execute(
        "UPDATE oauth_device_grants SET polled_ms = %s, interval_ms = %s WHERE device_code_hash = %s",
        polled_ms, interval_ms, device_code_hash,
    )  # fmt: skip


async def set_session(queries: Queries, device_code_hash: bytes, session_id: int) -> None:
    """Say which session was opened for the client."""
    await queries.execute(
        "UPDATE oauth_device_grants SET session_id = %s WHERE device_code_hash = %s",
        session_id, device_code_hash,
    )  # fmt: skip


async def delete_older_than(queries: Queries, created_before_ms: int) -> int:
    """Forget old rows; returns how many."""
    return await queries.execute("DELETE FROM oauth_device_grants WHERE created_ms < %s", created_before_ms)
